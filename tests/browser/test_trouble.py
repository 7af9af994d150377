"""Panes where something goes wrong around them: connections, pages, cells and kernels that go."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from playwright.sync_api import TimeoutError, WebSocketRoute

from kernellab.pane._widget import script, style
from tests.browser.jupyter import Lab, notebook

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from tests.browser.jupyter import Server

COUNT = 4_000

#: A pane whose lines come one by one from a thread, from when the file ``go`` is there until all
#: have; ``at`` says how many there are.
STREAM = rf"""
%load_ext kernellab
import threading, time
from pathlib import Path
from IPython.display import display
from kernellab.pane.show import new_pane, show
from kernellab.protocol import DbgPrint, State

def unload():
    pane.add([State(driver="hello", state="unloaded")])
    pane.set_state("unloaded")

pane = new_pane("hello", on_unload=unload, on_reload=lambda: None)
show(pane, display)
pane.set_state("loading")
pane.set_state("running")
at = 0

def stream():
    global at
    for at in range(10, {COUNT} + 10, 10):
        pane.add([DbgPrint(driver="hello", text=f"line {{n}}\n", time=n * 1e-6, component=77)
                  for n in range(at - 10, at)])
        if at > {COUNT // 4} and not Path("go").exists():
            time.sleep(0.1)
        time.sleep(0.005)

thread = threading.Thread(target=stream, daemon=True)
thread.start()
"""
#: Waits until the stream has passed a number of lines.
AT = "import time\nwhile at < {}: time.sleep(0.05)"
ENDED = "thread.join(); print('ended')"


@pytest.fixture
def lab(fresh: Lab) -> Lab:
    """What is done to these pages cannot be taken back."""
    return fresh


@pytest.fixture(autouse=True)
def no_go(jupyterlab: Server) -> Iterator[None]:
    yield
    (jupyterlab.folder / "go").unlink(missing_ok=True)


def pane(lab: Lab) -> Locator:
    return lab.page.locator(".kernellab-log")


def wait_for_count(lab: Lab, text: str) -> None:
    pane(lab).locator(".count", has_text=re.compile(rf"^{re.escape(text)}")).wait_for()


def shown_lines(lab: Lab) -> list[str]:
    """All lines that the view has, in its order, through the clipboard."""
    lab.page.evaluate("navigator.clipboard.writeText('')")
    pane(lab).get_by_role("button", name="Copy", exact=True).click()
    lab.page.wait_for_function("navigator.clipboard.readText().then((text) => text !== '')")
    text = lab.page.evaluate("navigator.clipboard.readText()")
    assert isinstance(text, str)
    return text.splitlines()


def everything(lab: Lab) -> None:
    """Each line is there once, in order, whatever has happened."""
    wait_for_count(lab, f"{COUNT:,} lines")
    found = [re.search(r"line (\d+)$", line) for line in shown_lines(lab)]
    assert [int(f[1]) for f in found if f] == list(range(COUNT))


def go(lab: Lab) -> None:
    (lab.server.folder / "go").touch()


def begin(lab: Lab) -> None:
    """A stream under way, a quarter of it there."""
    lab.open_notebook(STREAM, ENDED)
    lab.run_cell(0)
    pane(lab).locator(".count", has_text=re.compile(r"^1,\d\d\d")).wait_for()


def test_a_page_loaded_anew_in_mid_stream(lab: Lab) -> None:
    begin(lab)
    lab.save()
    lab.open_notebook()
    go(lab)
    everything(lab)


def test_a_connection_cut_in_mid_stream(lab: Lab) -> None:
    connections: list[WebSocketRoute] = []

    def connect(client: WebSocketRoute) -> None:
        connections.append(client)
        client.connect_to_server()

    lab.page.route_web_socket(re.compile(r"/channels\?"), connect)
    begin(lab)
    before = len(connections)
    for each in connections:
        each.close(code=1011, reason="the network is gone")
    go(lab)
    lab.page.wait_for_timeout(500)
    everything(lab)
    assert len(connections) > before
    # What the view asks is heard as well.
    pane(lab).get_by_role("button", name="Unload").click()
    pane(lab).get_by_text("hello unloaded", exact=True).wait_for()


def test_two_tabs_on_one_notebook(lab: Lab) -> None:
    begin(lab)
    lab.save()
    page = lab.page.context.new_page()
    other = Lab(lab.server, page)
    other.open_notebook()
    go(lab)
    everything(other)
    page.screenshot(path=lab.artefact("trouble-two-tabs.png"))
    lab.page.bring_to_front()
    everything(lab)
    page.bring_to_front()
    other.page.wait_for_selector('.action[aria-disabled="false"]')
    pane(other).get_by_role("button", name="Unload").click()
    for each in (other, lab):
        pane(each).get_by_text("hello unloaded", exact=True).wait_for()
    assert lab.errors == other.errors == []


def test_output_after_its_cell_was_deleted(lab: Lab) -> None:
    begin(lab)
    lab.page.locator(".jp-CodeCell").first.locator(".jp-InputPrompt").click()
    lab.menu("Edit", "Delete Cell")
    pane(lab).wait_for(state="detached")
    go(lab)
    lab.run_cell(0)
    lab.page.get_by_text("ended", exact=True).wait_for()
    assert lab.errors == []
    assert lab.page.locator(".jp-OutputArea-output").all_inner_texts() == ["ended\n"]


def test_outputs_cleared_in_mid_stream(lab: Lab) -> None:
    begin(lab)
    lab.page.locator(".jp-CodeCell").first.locator(".jp-InputPrompt").click()
    lab.menu("Edit", "Clear Cell Output")
    pane(lab).wait_for(state="detached")
    go(lab)
    lab.run_cell(1)
    lab.page.get_by_text("ended", exact=True).wait_for()
    assert lab.errors == []
    # Run again, it is all there.
    lab.run_cell(0)
    everything(lab)


def test_a_kernel_restarted_in_mid_stream(lab: Lab) -> None:
    begin(lab)
    lab.menu("Kernel", "Restart Kernel…")
    lab.page.locator(".jp-Dialog button.jp-mod-accept").click()
    gone = '.kernellab-log .action[aria-disabled="true"][title^="no kernel behind this pane"]'
    lab.page.wait_for_selector(gone)
    lab.wait_for_idle()
    lab.screenshot("trouble-kernel-restarted")
    assert "there is no kernel behind this pane: run the cell again" in pane(lab).inner_text()
    assert len(shown_lines(lab)) >= COUNT // 4, "what had come stays to be read"
    go(lab)
    lab.run_cell(0, wait=False)  # its number is the same again
    everything(lab)


STATIC = (
    '<div class="kernellab-static" data-kernellab-static="kernellab-{0}"><strong>hello</strong>'
    "<pre>the saved form of {0}</pre></div>"
)
#: Widget states as an older version, a newer one, or nobody would have written them; and what is
#: to be read then.
STATES: dict[str, tuple[dict[str, Any], str]] = {
    "older": (
        {
            "head": {"title": "hello", "state": "unloaded", "total": 2, "pane": "kernellab-older"},
            "panels": [],
            "snapshot": {"rows": [["an older line", 0.1, 0, 0, 77]], "head": 1},
        },
        "an older line",
    ),
    "newer": (
        {
            "head": {"title": "hello", "state": "levitating", "new": {},
                     "tabs": [{"kind": "?"}, ["later", 1]]},
            "panels": ["<p>a panel</p>"],
            "snapshot": {"rows": [["a newer line", 0.1, 99, 7, 70000, 5, "x", None]], "head": 1},
            "more": [1, 2],
        },
        "a newer line",
    ),
    "garbage": (
        {"head": 5, "panels": "<b>x</b>", "snapshot": {"rows": {"a": 1}, "head": "many"}},
        "the saved form of garbage",
    ),
    "rows": (
        {
            "head": {"title": ["x"], "timings": {}, "dropped": "many", "tabs": "?", "pane": 7},
            "panels": [None, 7, "<p>a panel</p>"],
            "fixes": [None, "x", {}],
            "snapshot": {
                "rows": [None, 3, [], [None, None, None], ["a line", "x"], ["good", 0, 0, 0, 0]],
                "head": -9, "omitted": "x", "drivers": 3, "components": [1],
            },
        },
        "good",
    ),
    "nothing": ({}, "the saved form of nothing"),
    "null": ({"head": None, "panels": None, "snapshot": None}, "the saved form of null"),
}  # fmt: skip


def with_states() -> nbformat.NotebookNode:
    """A notebook with a cell for each of the widget states."""
    made = notebook(*(f"%%rustdriver {kind}" for kind in STATES))
    models: dict[str, Any] = {}
    names = {"_model_module": "anywidget", "_view_module": "anywidget"}
    names |= {"_model_name": "AnyModel", "_view_name": "AnyView", "_anywidget_id": "kernellab"}
    names |= dict.fromkeys(("_model_module_version", "_view_module_version"), "~0.11.*")
    for number, (kind, (state, _)) in enumerate(STATES.items()):
        identity, layout = f"{number:032x}", f"{number + 100:032x}"
        view = {"version_major": 2, "version_minor": 0, "model_id": identity}
        made.cells[number].execution_count = number + 1
        made.cells[number].outputs = [
            nbformat.v4.new_output("display_data", {"text/html": STATIC.format(kind)}),
            nbformat.v4.new_output(
                "display_data",
                {"application/vnd.jupyter.widget-view+json": view, "text/plain": ""},
            ),
        ]
        models[layout] = {
            "model_name": "LayoutModel", "model_module": "@jupyter-widgets/base",
            "model_module_version": "2.0.0", "state": {},
        }  # fmt: skip
        models[identity] = {
            "model_name": "AnyModel", "model_module": "anywidget",
            "model_module_version": "~0.11.*",
            "state": {**names, "_esm": script(), "_css": style(), "layout": f"IPY_MODEL_{layout}",
                      **state},
        }  # fmt: skip
    made.metadata["widgets"] = {
        "application/vnd.jupyter.widget-state+json": {
            "state": models, "version_major": 2, "version_minor": 0,
        }
    }  # fmt: skip
    return made


def test_widget_state_of_another_version(lab: Lab) -> None:
    # JupyterLab makes widgets of a notebook's own state where the notebook has a kernel.
    # It leaves that out where the kernel is slow to tell of its own: then once more.
    lab.open_notebook(made=with_states())
    for _ in range(3):
        try:
            pane(lab).nth(len(STATES) - 1).wait_for(state="attached", timeout=15_000)
            break
        except TimeoutError:
            lab.open_notebook()
    pane(lab).nth(len(STATES) - 1).wait_for(state="attached")
    lab.page.set_viewport_size({"width": 1100, "height": 1400})
    for number, (_, says) in enumerate(STATES.values()):
        output = lab.page.locator(".jp-CodeCell").nth(number).locator(".jp-OutputArea")
        output.get_by_text(says, exact=True).wait_for()
        assert "rror" not in output.inner_text()
        button = pane(lab).nth(number).locator(".action").first
        assert button.get_attribute("title") == "no kernel behind this pane: run the cell again"
    empty = [kind in ("garbage", "nothing", "null") for kind in STATES]
    assert [not each.is_visible() for each in pane(lab).all()] == empty
    lab.screenshot("trouble-states")
    assert lab.errors == []
