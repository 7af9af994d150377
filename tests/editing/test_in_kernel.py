"""Tab, Shift-Tab, ``%rustcheck`` and the extension's comm, in a real IPython kernel."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.drivers import BODY_LINE, driver_source
from tests.editing.analyzer_here import analyzer_on, needs_analyzer
from tests.kernel import Notebook, gone

pytestmark = needs_analyzer

EDITOR = "__import__('kernellab.workbench').workbench.workbench().editor"


@pytest.fixture(scope="module")
def notebook() -> Iterator[Notebook]:
    with analyzer_on():
        notebook = Notebook()
    try:
        # Other work shares the machine: a Tab waits as long as it takes.
        notebook.run_ok(f"{EDITOR}._patience = 60")
        assert notebook.value(f"{EDITOR}.wait(120)") == "True"
        yield notebook
    finally:
        notebook.close()


def analyzers(notebook: Notebook) -> list[psutil.Process]:
    return [p for p in notebook.family() if "rust-analyzer" in _name(p)]


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:  # a compiler that has ended meanwhile
        return ""


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that run after some seconds; one that nobody has waited for does not."""
    left = []
    for process in gone(processes, 20):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                left.append(process)
    return left


def tab(notebook: Notebook, text: str) -> dict[str, Any]:
    before, _, after = text.partition("|")
    reply = notebook.client.complete(before + after, len(before), reply=True, timeout=120)
    content: dict[str, Any] = reply["content"]
    assert content["status"] == "ok"
    return content


def shift_tab(notebook: Notebook, text: str) -> dict[str, str]:
    before, _, after = text.partition("|")
    reply = notebook.client.inspect(before + after, len(before), reply=True, timeout=120)
    data: dict[str, str] = reply["content"]["data"]
    return data


def cell(body: str, magic: str = "%%rustdriver hello") -> str:
    return f"{magic}\n{driver_source(body)}"


def test_tab_gives_rust_and_nothing_of_python(notebook: Notebook) -> None:
    found = tab(notebook, cell('let s = "𝄞"; s.split_on|'))
    assert found["matches"] == ["split_once"]
    typed = found["metadata"]["_jupyter_types_experimental"]
    assert typed[0]["type"] == "method"
    text = cell('let s = "𝄞"; s.split_on|')
    end = text.index("|")
    assert (found["cursor_start"], found["cursor_end"]) == (end - len("split_on"), end)
    # A variable of Python's, a file of the current folder: not in a cell of Rust.
    notebook.run_ok("zzz_python = 1")
    assert tab(notebook, cell("zzz_|"))["matches"] == []
    assert tab(notebook, "zzz_|")["matches"] == ["zzz_python"]


def test_tab_on_the_magics_own_line(notebook: Notebook) -> None:
    assert tab(notebook, "%%rustdriver hello --targ|\nfn f() {}")["matches"] == ["--target"]
    notebook.run_ok("%%rustfile tabbed wire.rs\npub fn f() {}")
    notebook.run_ok("%%rustdriver tabbed --no-run\n" + driver_source(""))
    assert "tabbed" in tab(notebook, "%%rustfile tab|\nx")["matches"]
    assert tab(notebook, "%%rustfile tabbed wi|\nx")["matches"] == ["wire.rs"]
    assert "--remove" in tab(notebook, "%rustfile tabbed wire.rs --re|")["matches"]
    assert "tabbed" in tab(notebook, "%rustcheck ta|")["matches"]


def test_shift_tab(notebook: Notebook) -> None:
    data = shift_tab(notebook, cell("unsafe { windows_kernel_sys::IoCreate|Device() };"))
    assert "fn IoCreateDevice" in data["text/markdown"]
    assert "learn.microsoft.com" in data["text/markdown"] and "```" not in data["text/plain"]
    assert (
        "Argument 1 of 7"
        in shift_tab(notebook, cell("unsafe { windows_kernel_sys::IoCreateDevice(|) };"))[
            "text/plain"
        ]
    )
    notebook.run_ok("def python_function(a): 'its words'")
    assert "its words" in shift_tab(notebook, "python_func|tion")["text/plain"]


def test_rustcheck(notebook: Notebook) -> None:
    found = notebook.run_ok(cell("nosuch();", "%%rustcheck hello"))
    assert f"cell:{BODY_LINE + 1}:" in found.text and "nosuch" in found.text
    assert "kernellab-errors" in found.html
    assert "nosuch" in notebook.run_ok("%rustcheck hello").text
    assert "nothing to complain" in notebook.run_ok(cell("", "%%rustcheck hello")).text
    for line in ("%rustcheck", "%rustcheck nobody", "%%rustcheck hello --nope\nx"):
        assert notebook.run(line).name == "UsageError"


class Comm:
    """The front end's side of the comm."""

    def __init__(self, notebook: Notebook) -> None:
        self._client, self._id = notebook.client, uuid.uuid4().hex
        self._send("comm_open", {"target_name": "kernellab.editor"}, {})

    def _send(self, kind: str, more: dict[str, Any], data: object) -> None:
        content = {"comm_id": self._id, "data": data, **more}
        self._client.shell_channel.send(self._client.session.msg(kind, content))

    def send(self, data: object) -> None:
        self._send("comm_msg", {}, data)

    def answer(self, kind: str) -> dict[str, Any]:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            got = self._client.get_iopub_msg(timeout=120)["content"]
            if got.get("comm_id") == self._id and got["data"]["type"] == kind:
                data: dict[str, Any] = got["data"]
                return data
        raise AssertionError(f"no {kind}")

    def ask(self, data: dict[str, Any], kind: str) -> dict[str, Any]:
        self.send(data)
        return self.answer(kind)

    def close(self) -> None:
        self._send("comm_close", {}, {})


@pytest.fixture
def comm(notebook: Notebook) -> Iterator[Comm]:
    made = Comm(notebook)
    yield made
    made.close()


def test_hello(comm: Comm) -> None:
    said = comm.ask({"type": "hello"}, "hello")
    assert said["analyzer"] is True and said["message"] == "" and said["version"]


def test_messages_while_a_cell_is_written(comm: Comm) -> None:
    text = "\n\n" + cell('let s = "𝄞"; nosuch(); let mut x = 1u32; let _ = (s, x);')
    said = comm.ask({"type": "check", "cell": "a", "text": text, "rev": 7}, "diagnostics")
    assert (said["cell"], said["rev"]) == ("a", 7)
    error = next(each for each in said["items"] if each["code"] == "E0425")
    line = text.split("\n")[error["line"] - 1].encode("utf-16-le")
    marked = line[2 * error["column"] : 2 * error["end_column"]].decode("utf-16-le")
    assert (marked, error["severity"]) == ("nosuch", "error")
    fine = text.replace("nosuch(); ", "")
    said = comm.ask({"type": "check", "cell": "a", "text": fine, "rev": 8}, "diagnostics")
    unused = next(each for each in said["items"] if each["code"] == "unused_mut")
    (fix,) = unused["fixes"]
    (edit,) = fix["edits"]
    line = fine.split("\n")[edit["line"] - 1].encode("utf-16-le")
    taken = line[2 * edit["column"] : 2 * edit["end_column"]].decode("utf-16-le")
    assert (unused["severity"], taken, edit["text"]) == ("warning", "mut ", "")


def test_messages_about_a_further_file_are_its_own(comm: Comm, notebook: Notebook) -> None:
    notebook.run_ok("%%rustfile parts wire.rs\npub fn f() {}")
    main = f"%%rustdriver parts\nmod wire;\n{driver_source('wire::f(); nosuch();')}"
    assert comm.ask({"type": "check", "cell": "m", "text": main, "rev": 1}, "diagnostics")["items"]
    wire = "%%rustfile parts wire.rs\npub fn f() { 1u8 + missing; }"
    said = comm.ask({"type": "check", "cell": "w", "text": wire, "rev": 1}, "diagnostics")
    assert [each["line"] for each in said["items"]] == [2]
    assert "missing" in said["items"][0]["message"]


def test_the_newest_text_is_answered(comm: Comm) -> None:
    for rev in range(20):
        text = cell(f"nosuch{rev}();")
        comm.send({"type": "check", "cell": "a", "text": text, "rev": rev})
    said = comm.answer("diagnostics")
    while said["rev"] != 19:
        said = comm.answer("diagnostics")
    assert "nosuch19" in said["items"][0]["message"]


@pytest.mark.parametrize(
    "message",
    [None, 3, "x", [], {}, {"type": []}, {"type": "check"}, {"type": "hover", "text": ""},
     {"type": "check", "cell": 3, "text": "", "rev": 1},
     {"type": "check", "cell": "x" * 300, "text": "", "rev": 1},
     {"type": "check", "cell": "a", "text": "%%rustdriver x\n" + "/" * (1 << 20), "rev": 1},
     {"type": "check", "cell": "a", "text": "", "rev": True},
     {"type": "hover", "text": "%%rustdriver x\n", "line": -1, "column": 0, "id": 1},
     {"type": "hover", "text": "%%rustdriver x\n", "line": 1.5, "column": 0, "id": 1}],
    ids=range(14),
)  # fmt: skip
def test_messages_of_another_shape_are_passed_over(comm: Comm, message: object) -> None:
    comm.send(message)
    assert comm.ask({"type": "hello"}, "hello")["analyzer"] is True


def test_help_over_the_comm(comm: Comm) -> None:
    text = cell("Some(1u8).map(|n| n);")
    column = text.split("\n")[BODY_LINE].index("map")
    question = {"type": "hover", "cell": "a", "text": text, "line": BODY_LINE + 1, "id": 5}
    said = comm.ask({**question, "column": column}, "hover")
    assert said["id"] == 5 and "pub const fn map" in said["markdown"]
    assert comm.ask({**question, "column": 99_999, "line": 99_999}, "hover")["markdown"] == ""


def test_an_interrupt_during_a_tab_leaves_it_usable(notebook: Notebook) -> None:
    (analyzer,) = analyzers(notebook)
    text = cell("Some(1u8).is_som|")
    before, _, after = text.partition("|")
    analyzer.suspend()
    message = notebook.client.complete(before + after, len(before))
    time.sleep(0.3)  # it is being asked
    notebook.manager.interrupt_kernel()
    reply = notebook.client.get_shell_msg(timeout=60)
    while reply["parent_header"].get("msg_id") != message:
        reply = notebook.client.get_shell_msg(timeout=60)
    analyzer.resume()
    assert "is_some" in tab(notebook, text.replace("1u8", "2u8"))["matches"]


def test_two_notebooks_and_one_that_is_killed(notebook: Notebook) -> None:
    with analyzer_on():
        other = Notebook()
    try:
        # Not before it has started: the program is asked for its version first, and ends.
        assert other.value(f"{EDITOR}.wait(120)") == "True"
        family = other.family()
        assert analyzers(other)[0].pid != analyzers(notebook)[0].pid
        os.kill(family[0].pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        assert alive(family[1:]) == []
        assert "is_some" in tab(notebook, cell("Some(3u8).is_som|"))["matches"]
    finally:
        other.close()


def test_loading_twice_and_restarting(notebook: Notebook) -> None:
    notebook.run_ok("%load_ext kernellab\n%reload_ext kernellab")
    assert tab(notebook, cell("Some(4u8).is_som|"))["matches"].count("is_some") == 1
    assert len(analyzers(notebook)) == 1
    before = notebook.family()[1:]
    notebook.manager.restart_kernel(now=False)
    notebook.client.wait_for_ready(timeout=60)
    assert alive(before) == []
