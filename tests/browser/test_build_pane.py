"""The build in the pane: how far it is, Cancel, errors with places and changes of the cell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from nbconvert import HTMLExporter

from tests.drivers import BODY_LINE, driver_source

if TYPE_CHECKING:
    from tests.browser.jupyter import Lab

#: Compile-time work that takes rustc many seconds.
SLOW = driver_source(
    'println!("{}", X);',
    extra="const fn f(n: u64) -> u64 { let (mut i, mut s) = (0, 0);"
    "while i < n { s ^= i; i += 1; } s }\n"
    "#[allow(long_running_const_eval)] const X: u64 = f(3_000_000_000);\n",
)
#: A borrow that is missing (rustc is sure), and a name that is nearly one.
WRONG = driver_source(
    'let text = [1u8, 2];\n        println!("{}", count(text));\n        prinltn!("x");',
    extra="fn count(of: &[u8; 2]) -> usize { of.len() }\n",
)
#: Reads through a null pointer; and leaves pool behind, three times.
NULL = driver_source(
    'println!("about to read");\n'
    "        let at = core::hint::black_box(0x10 as *const u32);\n"
    "        let _v = unsafe { at.read_volatile() };"
)
LEAKS = driver_source(
    "for n in 1..4 { core::mem::forget(core::hint::black_box(alloc::vec![1u8; 40 * n])); }",
    extra="extern crate alloc;\n",
)


def test_cancel_ends_the_build_while_the_cell_runs(lab: Lab) -> None:
    lab.open_notebook("%load_ext kernellab", f"%%rustdriver slow\n{SLOW}")
    lab.run_all_cells(wait=False)
    pane = lab.page.locator(".kernellab-log")
    bar = pane.get_by_role("progressbar")
    bar.wait_for()
    pane.locator(".under-way .elapsed", has_text=re.compile(r"\d+ s")).wait_for()
    lab.page.wait_for_function(
        "e => / of /.test(e.getAttribute('aria-valuetext'))", arg=bar.element_handle()
    )
    lab.screenshot("build-progress")
    pane.get_by_role("button", name="Cancel").click()
    pane.locator(".badge", has_text="interrupted").wait_for()
    pane.get_by_text("the build was stopped").first.wait_for()
    lab.wait_for_idle()
    error = lab.page.locator(".jp-OutputArea-output", has_text="BuildCancelled")
    error.get_by_text("the build of slow was cancelled").first.wait_for()
    assert lab.errors == []
    lab.screenshot("build-cancelled")


HEAR = """() => {
  window.edits = [];
  document.addEventListener("kernellab-edit", (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
    window.edits.push(event.detail);
    event.detail.result = { ok: true, message: "" };
  }, true);
}"""


def changes(lab: Lab) -> None:
    """What the page is asked to change when a suggestion is applied."""
    lab.page.evaluate(HEAR)
    pane = lab.page.locator(".jp-CodeCell", has_text="%%rustdriver wrong ").locator(
        ".kernellab-log"
    )
    pane.get_by_role("button", name=re.compile("Apply: consider borrowing")).click()
    done = pane.get_by_role("button", name="Applied: run the cell again")
    done.wait_for()
    assert done.get_attribute("aria-disabled") == "true"
    (asked,) = lab.page.evaluate("window.edits")
    before, edit = asked["edits"]
    assert before["text"] == before["expected"] and before["expected"].endswith("count(")
    line = WRONG.splitlines()[edit["line"] - 2]  # the magic's own line is line 1
    assert (asked["driver"], asked["file"], edit["text"]) == ("wrong", None, "&")
    assert line[: edit["column"] - 1].endswith("count(") and edit["expected"] == ""
    # A second change, of a name: its place has not moved, as it is on another line.
    pane.get_by_role("button", name=re.compile("Apply: .*println.*may need a change")).click()
    pane.locator("button", has_text="Applied").nth(1).wait_for()
    edit = lab.page.evaluate("window.edits")[1]["edits"][0]
    line = WRONG.splitlines()[edit["line"] - 2]
    assert line[edit["column"] - 1 : edit["end_column"] - 1] == edit["expected"]
    assert edit["expected"] + edit["text"] in ("prinltnprintln", "ltnlnt", "lnt")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_errors_and_reports(lab: Lab, theme: str) -> None:
    lab.open_notebook(
        "%load_ext kernellab",
        f"%%rustdriver wrong --allow-failure\n{WRONG}",
        f"%%rustdriver null --allow-failure\n{NULL}",
        f"%%rustdriver leaks --allow-failure\n{LEAKS}",
        "leaks.unload()",
        theme=theme,
    )
    lab.page.set_viewport_size({"width": 1100, "height": 1300})
    lab.run_all_cells(timeout=240)
    for name in ("wrong", "null", "leaks"):
        output = lab.page.locator(".jp-CodeCell", has_text=f"%%rustdriver {name} ").locator(
            ".jp-OutputArea"
        )
        pane = output.locator(".kernellab-log")
        if name == "leaks":
            pane.get_by_text("leak-pool ×3").wait_for()
            pane.get_by_text("--no-verify leak-pool").wait_for()
        if name == "null":
            for summary in ("Call stack", "Registers", "Instructions"):
                pane.locator("summary", has_text=summary).first.click()
            pane.locator(".kl-body").get_by_text("close to NULL").first.wait_for()
            pane.locator(".kl-here", has_text="→ +0x").wait_for()
            pane.get_by_role("button", name="Go to line").click()
        if name == "wrong":
            assert pane.locator(".kernellab-errors > details").count() == 2
            folded = pane.locator(".kernellab-errors > details:not([open]) > summary")
            folded.first.click(position={"x": 4, "y": 4})
            pane.get_by_role("button", name=re.compile("Apply: consider borrowing")).wait_for()
            pane.get_by_role(
                "button", name=re.compile(rf"cell:{BODY_LINE + 2}:\d+")
            ).first.wait_for()
        for width in (700, 1100):
            lab.page.set_viewport_size({"width": width, "height": 1300})
            output.screenshot(path=lab.artefact(f"panes-{name}-{theme}-{width}.png"))
    assert lab.errors == []
    changes(lab)
    if theme == "dark":
        return
    saved = lab.save()
    for scheme in ("light", "dark"):
        body, _ = HTMLExporter(theme=scheme).from_notebook_node(saved)
        lab.page.unroute_all()
        lab.page.set_content(re.sub(r"(?s)<script.*?</script>", "", body))
        for words in ("ran into a problem", "leak-pool ×3", "consider borrowing here"):
            assert words in body
        lab.page.screenshot(path=lab.artefact(f"panes-nbconvert-{scheme}.png"), full_page=True)
    for cell in saved.cells[1:4]:
        for output in cell.outputs:
            html = "".join(output.get("data", {}).get("text/html", ""))
            text = "".join(output.get("data", {}).get("text/plain", ""))
            assert len(html) + len(text) < 10 * 1024
