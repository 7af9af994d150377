"""While a Rust cell is written: the kernel's diagnostics, their fixes, what is under the pointer.

The kernel's side is a few lines of Python in the notebook, over a real comm, so that a test can say
what comes when.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.browser.jupyter import Lab


KERNEL = r"""# kernellab's side
asked = []
def units(text):
    return len(text.encode("utf-16-le")) // 2
def check(text):
    for number, line in enumerate(text.split("\n"), 1):
        for word, severity in (("oops", "error"), ("hmm", "warning")):
            if word in line:
                start = units(line.split(word)[0])
                place = {"line": number, "column": start,
                         "end_line": number, "end_column": start + len(word)}
                fix = {"title": f"Remove {word}", "edits": [{**place, "text": ""}]}
                yield {**place, "severity": severity, "code": "E0425", "fixes": [fix],
                       "message": f"cannot find `{word}`\n<img src=x onerror='window.evil=1'>"}
def opened(comm, _):
    def hear(message):
        data = message["content"]["data"]
        asked.append(data)
        answer = {"type": data["type"]}
        if data["type"] == "check":
            answer = {"type": "diagnostics", "cell": data["cell"], "rev": data["rev"],
                      "items": list(check(data["text"]))}
            stale = {"line": 1, "column": 0, "end_line": 1, "end_column": 5,
                     "severity": "hint", "code": "", "message": "stale", "fixes": []}
            comm.send({**answer, "rev": data["rev"] - 1, "items": [stale]})
        if data["type"] == "hover":
            line = data["text"].split("\n")[data["line"] - 1]
            says = f"**docs** of `{line}` at {data['column']}<img src=x onerror='window.evil=1'>"
            answer = {"type": "hover", "id": data["id"], "markdown": says}
        comm.send(answer)
    comm.on_msg(hear)
get_ipython().kernel.comm_manager.register_target("kernellab.editor", opened)"""
CELL = '%%rustdriver hello\nfn a() {\n    let x = "𝔘"; \n}'


@pytest.fixture(params=["lab", "classic"])
def page(request: pytest.FixtureRequest) -> Iterator[Lab]:
    yield request.getfixturevalue(request.param)


def run_first(lab: Lab) -> None:
    """Run the first cell, and wait until the page has its way to the kernel."""
    lab.page.locator(".jp-CodeCell .cm-content").first.click()
    lab.page.keyboard.press("Control+Enter")
    lab.page.wait_for_function(
        "/\\d/.test(document.querySelector('.jp-CodeCell .jp-InputPrompt').textContent)"
    )


def write(lab: Lab, word: str) -> None:
    """At the end of line 3 of the second cell."""
    lab.page.locator(".jp-CodeCell .cm-content").nth(1).locator(".cm-line").nth(2).click()
    lab.page.keyboard.press("End")
    lab.page.keyboard.type(word)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_errors_are_underlined_and_fixed(page: Lab, theme: str) -> None:
    page.open_notebook(
        KERNEL, CELL, "print(len([a for a in asked if a['type'] == 'check']))", theme=theme
    )
    run_first(page)
    write(page, "oops hmm")
    error = page.page.locator(".cm-lintRange-error")
    error.wait_for()
    assert error.inner_text() == "oops"
    assert page.page.locator(".cm-lintRange-warning").inner_text() == "hmm"
    page.page.locator(".cm-lint-marker-error").wait_for()
    assert page.page.locator(".cm-lintRange-hint").count() == 0
    error.hover()
    tip = page.page.locator(".cm-tooltip-lint")
    tip.wait_for()
    assert "cannot find `oops`\n<img src=x" in tip.inner_text() and "E0425" in tip.inner_text()
    page.screenshot(f"diagnostics-{page.server.application}-{theme}")
    tip.get_by_role("button", name="Remove oops").click()
    error.wait_for(state="detached")
    page.page.locator(".cm-lintRange-warning").wait_for()
    cell = page.page.locator(".jp-CodeCell .cm-content").nth(1)
    assert cell.locator(".cm-line").nth(2).inner_text() == '    let x = "𝔘";  hmm'
    cell.click()
    page.page.keyboard.press("Control+z")
    error.wait_for()
    # A cell that is Rust no more has none.
    page.page.keyboard.press("Control+Home")
    page.page.keyboard.type("# ")
    error.wait_for(state="detached")
    assert page.page.locator(".cm-lint-marker").count() == 0
    assert page.page.evaluate("window.evil") is None
    assert page.errors == []


def test_documentation_is_shown_and_cleaned(page: Lab) -> None:
    page.open_notebook(KERNEL, CELL)
    run_first(page)
    write(page, "oops")
    page.page.locator(".cm-lintRange-error").wait_for()
    page.page.locator('.cm-content span:text-is("let")').hover()
    shown = page.page.locator(".kernellab-hover")
    shown.wait_for()
    assert 'docs of     let x = "𝔘"; oops at' in shown.inner_text().replace("\xa0", " ")
    assert shown.locator("strong").inner_text() == "docs"
    page.screenshot(f"hover-{page.server.application}")
    assert shown.locator("[onerror]").count() == 0 and page.page.evaluate("window.evil") is None


def test_typing_takes_the_documentation_away(lab: Lab) -> None:
    """It would lie over what the pointer or the completer shows next."""
    lab.open_notebook(KERNEL, CELL)
    run_first(lab)
    write(lab, "oops")
    error = lab.page.locator(".cm-lintRange-error")
    error.wait_for()
    error.hover()
    docs, tip = lab.page.locator(".kernellab-hover"), lab.page.locator(".cm-tooltip-lint")
    docs.wait_for()
    tip.wait_for()
    upper, lower = docs.bounding_box(), tip.bounding_box()
    assert upper is not None and lower is not None
    assert upper["y"] + upper["height"] <= lower["y"] + 1, "the error is below the documentation"
    lab.screenshot("hover-and-error")
    lab.page.keyboard.type(" x")
    docs.wait_for(state="detached")
    tip.wait_for(state="detached")
    assert lab.errors == []


def test_a_kernel_without_kernellab_is_asked_again_later(lab: Lab) -> None:
    lab.open_notebook("1  # no kernellab yet", CELL, KERNEL)
    run_first(lab)
    write(lab, "oops")
    lab.page.locator(".jp-CodeCell .cm-content").nth(2).click()
    lab.page.keyboard.press("Control+Enter")
    lab.page.locator(".cm-lintRange-error").wait_for()
    assert lab.errors == []
    # A new kernel knows nothing: no error shown, and again when the cell has run.
    lab.menu("Kernel", "Restart Kernel…")
    lab.page.locator(".jp-Dialog button.jp-mod-accept").click()
    lab.wait_for_idle()
    lab.page.locator(".jp-CodeCell .cm-content").nth(2).click()
    lab.page.keyboard.press("Control+Enter")
    write(lab, " hmm")
    lab.page.locator(".cm-lintRange-warning").wait_for()
    assert lab.errors == []


def test_each_can_be_switched_off(fresh: Lab) -> None:
    lab = fresh
    path = lab.server.folder.parent / "config" / "lab" / "user-settings" / "kernellab"
    path.mkdir(parents=True, exist_ok=True)
    off = path / "plugin.jupyterlab-settings"
    off.write_text(json.dumps({"highlighting": False, "diagnostics": False, "hover": False}))
    try:
        show = "import time; time.sleep(1); print('asked', [a['type'] for a in asked])"
        lab.open_notebook(KERNEL, CELL, show)
        run_first(lab)
        write(lab, "oops")
        lab.page.locator('.cm-content span:text-is("let")').wait_for(state="detached")
        lab.page.locator(".jp-CodeCell .cm-line").get_by_text("𝔘").hover()
        lab.page.wait_for_timeout(1500)
        lab.page.locator(".jp-CodeCell .cm-content").nth(2).click()
        lab.page.keyboard.press("Control+Enter")
        lab.page.get_by_text("asked ['hello']").wait_for()
        assert lab.page.locator(".cm-lintRange, .kernellab-hover").count() == 0
    finally:
        off.unlink()
