"""Tab, Shift-Tab and messages while typing, in a real JupyterLab with the real rust-analyzer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import serve_application
from tests.drivers import BODY_LINE, driver_source
from tests.editing.analyzer_here import analyzer_on, needs_analyzer

if TYPE_CHECKING:
    from tests.browser.jupyter import Lab, Server

pytestmark = needs_analyzer

#: Other work shares the machine: a Tab waits as long as it takes.
WARM = (
    "from kernellab.workbench import workbench\nworkbench().editor._patience = 60\n"
    "print('warm', workbench().editor.wait(120))"
)
CELL = "%%rustdriver assisted --no-run\n" + driver_source(
    'let s = "𝄞"; s.\n        unsafe { windows_kernel_sys::IoCreateDevice };\n        ',
    extra="fn count(of: &[u8; 2]) -> usize { of.len() }",
)


@pytest.fixture(scope="module")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """As everywhere, its kernels with a rust-analyzer."""
    with analyzer_on():
        yield from serve_application(tmp_path_factory.mktemp("jupyter"), "jupyterlab")


def open_warm(lab: Lab, theme: str) -> None:
    lab.page.set_viewport_size({"width": 1100, "height": 1000})
    lab.open_notebook("%load_ext kernellab", CELL.rstrip(), WARM, theme=theme)
    lab.run_cell(0)
    lab.run_cell(2, timeout=180)
    lab.page.get_by_text("warm True").wait_for(timeout=180_000)


def at_line(lab: Lab, line: int, typed: str = "") -> None:
    """The cursor at the end of a line of the source, counted as rustc does; then type."""
    cell = lab.page.locator(".jp-CodeCell .cm-content").nth(1)
    cell.locator(".cm-line").nth(line).click()
    lab.page.keyboard.press("End")
    lab.page.keyboard.type(typed)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_completion_help_and_messages(lab: Lab, theme: str) -> None:
    open_warm(lab, theme)
    page = lab.page
    at_line(lab, BODY_LINE, "split_")
    page.keyboard.press("Tab")
    completer = page.locator(".jp-Completer:not(.lm-mod-hidden)")
    completer.locator(".jp-Completer-item", has_text="split_once").first.wait_for()
    names = completer.locator(".jp-Completer-match").all_inner_texts()
    assert "split_at" in names and all(name.startswith("split_") for name in names), names
    lab.screenshot(f"assistance-tab-{theme}")
    page.keyboard.type("onc")
    page.keyboard.press("Enter")
    line = page.locator(".jp-CodeCell").nth(1).locator(".cm-line").nth(BODY_LINE)
    page.wait_for_function("e => e.textContent.endsWith('s.split_once')", arg=line.element_handle())

    at_line(lab, BODY_LINE + 1)
    for _ in "ice };":
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+Tab")
    tip = page.locator(".jp-Tooltip")
    tip.get_by_text("fn IoCreateDevice").first.wait_for()
    lab.screenshot(f"assistance-help-{theme}")
    page.keyboard.press("Escape")

    # What stands there is made right first, so that there is one message.
    at_line(lab, BODY_LINE, '(" ");')
    at_line(lab, BODY_LINE + 2, "let t = [1u8, 2]; let _ = count(t);")
    wrong = page.locator(".cm-lintRange-error")
    wrong.wait_for(timeout=120_000)
    assert wrong.inner_text() == "t"
    wrong.hover()
    tip = page.locator(".cm-tooltip-lint")
    tip.get_by_text("mismatched types").first.wait_for()
    assert "expected `" in tip.first.inner_text()
    lab.screenshot(f"assistance-message-{theme}")
    tip.get_by_role("button", name=re.compile("borrowing")).click()
    page.locator(".cm-line", has_text="let _ = count(&t);").wait_for()
    wrong.wait_for(state="detached", timeout=120_000)
    assert lab.errors == []
