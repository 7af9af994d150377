"""What the author of a cell waits for: Tab, Shift-Tab and messages, in a real IPython kernel."""

from __future__ import annotations

import time
import uuid
from typing import Any

from kernellab.build import find_analyzer, find_toolchain
from kernellab.errors import ToolchainError

from .harness import HELLO, Row, evaluate, execute, jupyter_kernel

EDITOR = "__import__('kernellab.workbench').workbench.workbench().editor"
_MOST_MEGABYTES = 700.0

#: What a Tab waits for, each in a cell that no Tab was in before: a method of the library's, the
#: framework's names, a macro's argument.
PLACES = ("let n = Some(NUMBER); n.|", 'let s = "NUMBER"; s.le|', 'println!("{}", NUMBERu32.|);')


def editing_rows(runs: int) -> list[Row]:
    """``%load_ext`` to warm, Tab, Shift-Tab, messages, memory."""
    try:
        find_analyzer(find_toolchain())
    except ToolchainError as error:
        return [Row(f"completion: {str(error).partition(':')[0]}", [], None, "ms")]
    with jupyter_kernel() as client:
        begin = time.perf_counter()
        execute(client, "%load_ext kernellab")
        if evaluate(client, f"{EDITOR}.wait(120)") != "True":
            raise RuntimeError("rust-analyzer does not get warm")
        warm = time.perf_counter() - begin
        execute(client, _TIMED)
        first, *tabs = [_tab(client, run) for run in range(3 * runs + 1)]
        inner = [float(each) for each in evaluate(client, "_kernellab_times")[1:-1].split(",")]
        helps = [_shift_tab(client, run) for run in range(runs + 1)][1:]
        checks = [_check(client, run) for run in range(runs + 1)][1:]
        memory = int(evaluate(client, f"{EDITOR}.analyzer.memory()")) / 2**20
    return [
        Row(
            "%load_ext to a rust-analyzer that has answered (in the background)", [warm], None, "s"
        ),
        Row("first Tab when it is warm: request to reply in a Jupyter kernel", [first], None, "ms"),
        Row("Tab, warm: request to reply in a Jupyter kernel", tabs, 50, "ms"),
        Row("  of it in kernellab and rust-analyzer", inner[1:], 30, "ms"),
        Row("Shift-Tab (hover, signature, page): request to reply", helps, 100, "ms"),
        Row("messages while a cell is written: text sent to messages here", checks, 500, "ms"),
        Row("rust-analyzer's memory then", [memory], _MOST_MEGABYTES, "MB"),
    ]


_TIMED = f"""\
import time as _time
_kernellab_times = []
def _kernellab_timed(editor, ask):
    def complete(*given):
        begin = _time.perf_counter()
        try:
            return ask(*given)
        finally:
            _kernellab_times.append(1000 * (_time.perf_counter() - begin))
    editor.complete = complete
_kernellab_timed({EDITOR}, {EDITOR}.complete)
"""


def _cell(body: str) -> tuple[str, int]:
    text = "%%rustdriver hello\n" + HELLO.replace("Ok(Module)", f"{body}\n        Ok(Module)")
    at = text.index("|")
    return text.replace("|", "", 1), at


def _tab(client: Any, run: int) -> float:
    text, at = _cell(PLACES[run % len(PLACES)].replace("NUMBER", str(run)))
    begin = time.perf_counter()
    reply = client.complete(text, at, reply=True, timeout=60)
    took = time.perf_counter() - begin
    if not reply["content"]["matches"]:
        raise RuntimeError(f"nothing completes {text[:at][-30:]!r}")
    return 1000 * took


def _shift_tab(client: Any, run: int) -> float:
    text, at = _cell(f"let n = Some({run}).ma|p(|n| n);")
    begin = time.perf_counter()
    reply = client.inspect(text, at, reply=True, timeout=60)
    took = time.perf_counter() - begin
    if not reply["content"]["found"]:
        raise RuntimeError("nothing is known of Option::map")
    return 1000 * took


def _check(client: Any, run: int) -> float:
    """As the front end's extension asks, with a mistake in the cell."""
    text, _ = _cell(f"let n: u8 = nosuch{run}(); |")
    number = uuid.uuid4().hex

    def send(kind: str, content: dict[str, Any]) -> None:
        message = client.session.msg(kind, {"comm_id": number, **content})
        client.shell_channel.send(message)

    send("comm_open", {"target_name": "kernellab.editor", "data": {}})
    begin = time.perf_counter()
    send("comm_msg", {"data": {"type": "check", "cell": "a", "text": text, "rev": run}})
    while True:
        content = client.get_iopub_msg(timeout=60)["content"]
        if content.get("comm_id") == number and content.get("data", {}).get("items"):
            break
    took = time.perf_counter() - begin
    send("comm_close", {"data": {}})
    return 1000 * took
