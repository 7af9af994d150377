"""The compiler's suggestions, applied to real cells; places that go to the line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.drivers import BODY_LINE, driver_source

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from tests.browser.jupyter import Lab

#: Three borrows are missing, two of them on one line. The compiler is sure of each.
WRONG = "%%rustdriver wrong --allow-failure\n" + driver_source(
    "let t = [1u8, 2];\n"
    '        println!("{} of {}", count(t), count(t));\n'
    "        let _ = count(t);",
    extra="fn count(of: &[u8; 2]) -> usize { of.len() }",
)
MENDED = WRONG.replace("count(t)", "count(&t)")
FILE = "%%rustfile parts wire.rs\npub fn size(of: &[u8]) -> usize { of.len() }\n" + (
    'pub fn both() -> usize { size([1u8; 4]) + "𝔘".len() }'
)
PARTS = "%%rustdriver parts --allow-failure\n" + driver_source(
    'println!("{}", wire::both());'
).replace("use windows", "mod wire;\nuse windows", 1)


@pytest.fixture(params=["lab", "classic"])
def page(request: pytest.FixtureRequest) -> Iterator[Lab]:
    yield request.getfixturevalue(request.param)


def text_of(lab: Lab, cell: int) -> str:
    """A code cell's text as its editor has it."""
    lines = lab.page.locator(".jp-CodeCell").nth(cell).locator(".cm-line").all_inner_texts()
    return "\n".join(line.replace("\n", "") for line in lines)


def wait_for_text(lab: Lab, cell: int, text: str) -> None:
    for _ in range(100):
        if text_of(lab, cell) == text:
            return
        lab.page.wait_for_timeout(50)
    assert text_of(lab, cell) == text


def pane(lab: Lab, name: str) -> Locator:
    return lab.page.get_by_role("region", name=re.compile(f"^Driver {name}"))


def run(lab: Lab, cell: int, name: str, badge: str) -> None:
    lab.run_cell(cell, timeout=240)
    pane(lab, name).locator(".badge", has_text=badge).wait_for()


def undo(lab: Lab, cell: int) -> None:
    lab.page.locator(".jp-CodeCell .cm-content").nth(cell).click()
    lab.page.keyboard.press("Control+z")


def test_suggestions_of_a_real_build_change_the_cell(page: Lab) -> None:
    page.open_notebook("%load_ext kernellab", WRONG.rstrip())
    page.page.set_viewport_size({"width": 1100, "height": 1300})
    page.run_all_cells(timeout=240)
    shown = pane(page, "wrong")
    shown.locator(".badge", has_text="failed").wait_for()
    folded = shown.locator(".kernellab-errors > details:not([open]) > summary")
    while folded.count():
        folded.first.click(position={"x": 4, "y": 4})
    applies = shown.get_by_role("button", name=re.compile("^Apply: consider borrowing"))
    assert applies.count() == 3
    # One, and then one after it on the same line, whose place has moved.
    for number in range(3):
        applies.first.click()
        assert text_of(page, 1).count("count(&t)") == number + 1
    wait_for_text(page, 1, MENDED.rstrip())
    page.screenshot(f"suggestions-{page.server.application}")
    for left in (2, 1, 0):
        undo(page, 1)
        assert text_of(page, 1).count("count(&t)") == left
    assert text_of(page, 1) == WRONG.rstrip()
    run(page, 1, "wrong", "failed")
    # Where the cell was written in since, a change does not go to another place.
    page.page.locator(".jp-CodeCell .cm-content").nth(1).click()
    page.page.keyboard.press("Control+Home")
    page.page.keyboard.press("End")
    page.page.keyboard.type("\n")
    written = text_of(page, 1)
    while folded.count():
        folded.first.click(position={"x": 4, "y": 4})
    applies.nth(2).click()  # on this line is another one now, which has its column too
    shown.get_by_text("line 10 has changed since").wait_for()
    assert text_of(page, 1) == written
    undo(page, 1)
    wait_for_text(page, 1, WRONG.rstrip())
    shown.get_by_role("button", name="Apply all 3 machine-applicable").click()
    wait_for_text(page, 1, MENDED.rstrip())
    undo(page, 1)  # one step
    wait_for_text(page, 1, WRONG.rstrip())
    page.page.keyboard.press("Control+Shift+z")
    run(page, 1, "wrong", "running")
    shown.get_by_text("2 of 2").wait_for()
    assert page.errors == []


def test_a_suggestion_in_a_further_file(page: Lab) -> None:
    page.open_notebook("%load_ext kernellab", FILE, PARTS.rstrip())
    page.run_all_cells(timeout=240)
    shown = pane(page, "parts")
    shown.get_by_role("button", name=re.compile("^Apply: consider borrowing")).click()
    wait_for_text(page, 1, FILE.replace("size([1u8; 4])", "size(&[1u8; 4])"))
    undo(page, 1)
    wait_for_text(page, 1, FILE)
    page.page.keyboard.press("Control+Shift+z")
    page.run_cell(1)
    run(page, 2, "parts", "running")
    shown.get_by_text("8", exact=True).wait_for()
    assert page.errors == []


def cursor_line(lab: Lab, cell: int) -> str:
    """Type a mark where the cursor is; the line that has it then, without it."""
    lab.page.keyboard.type("@")
    (line,) = [each for each in text_of(lab, cell).split("\n") if "@" in each]
    lab.page.keyboard.press("Backspace")
    return line.replace("@", "")


def test_places_put_the_cursor_on_the_line(page: Lab) -> None:
    null = (
        'println!("about to read");\n        let at = core::hint::black_box(0x10 as *const u32);\n'
        "        let _v = unsafe { at.read_volatile() };"
    )
    panics = 'println!("soon");\n        panic!("no more");'
    page.open_notebook(
        "%load_ext kernellab",
        f"%%rustdriver null --allow-failure\n{driver_source(null)}",
        f"%%rustdriver panics --allow-failure\n{driver_source(panics)}",
        '%%rustfile parts wire.rs\npub fn both() -> usize { panic!("in the file") }',
        PARTS,
    )
    page.run_all_cells(timeout=240)
    pane(page, "null").get_by_role("button", name="Go to line").click()
    page.page.locator(".kernellab-flash").wait_for()
    assert cursor_line(page, 1) == "        let _v = unsafe { at.read_volatile() };"
    place = pane(page, "panics").locator(".kernellab-row button.place").first
    assert place.inner_text().startswith(f"cell:{BODY_LINE + 2}")
    place.click()
    page.page.locator(".kernellab-flash", has_text="no more").wait_for()
    assert cursor_line(page, 2) == '        panic!("no more");'
    in_file = pane(page, "parts").locator(".kernellab-row button.place").first
    assert in_file.inner_text().startswith("wire.rs:2")
    in_file.click()
    page.page.locator(".kernellab-flash", has_text="in the file").wait_for()
    assert cursor_line(page, 3) == 'pub fn both() -> usize { panic!("in the file") }'
    assert page.errors == []
