"""The editing commands as a person sees them: a cell formatted in place, code beside source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.drivers import driver_source

if TYPE_CHECKING:
    from tests.browser.jupyter import Lab


UGLY = driver_source('println!("sum {}",   add( 1,path.len() as u32 ));').replace(
    "_: &str", "path: &str"
)
EXTRA = """
#[inline(never)]
fn add(a:u32,b:u32)->u32 { // no overflow
  a.wrapping_add(b)
}
"""
CELL = f"%%rustdriver tidy --fmt --asm init --asm add\n{UGLY}{EXTRA}"


def cell_text(lab: Lab, index: int) -> str:
    """What stands in a cell of the notebook, as it would be saved."""
    return str(lab.save().cells[index].source)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_cell_is_formatted_in_place_and_its_code_shown(lab: Lab, theme: str) -> None:
    lab.open_notebook(
        "%load_ext kernellab",
        CELL,
        "%expand tidy Module::init",
        "%rustc --explain E0502",
        theme=theme,
    )
    lab.page.set_viewport_size({"width": 1200, "height": 2600})
    lab.run_all_cells(timeout=120)
    lab.page.get_by_text("add: ").first.wait_for(timeout=60_000)
    lab.page.locator("th", has_text="Instructions").first.wait_for()
    lab.page.get_by_text("borrowed again").first.wait_for()
    lab.screenshot(f"editing-{theme}")
    text = cell_text(lab, 1)
    assert text.startswith("%%rustdriver tidy --fmt --asm init --asm add\nuse windows_kernel_rs")
    assert '        println!("sum {}", add(1, path.len() as u32));\n' in text
    assert "fn add(a: u32, b: u32) -> u32 {\n    // no overflow\n" in text
    assert not text.endswith("\n")
    assert lab.errors == []


def test_formatting_is_taken_back_by_undo(lab: Lab) -> None:
    lab.open_notebook("%load_ext kernellab", CELL.replace(" --asm init --asm add", ""))
    lab.run_all_cells(timeout=120)
    lab.page.get_by_text("a: u32, b: u32").first.wait_for(timeout=60_000)
    lab.page.locator(".jp-CodeCell .cm-content").nth(1).click()
    lab.page.keyboard.press("Control+z")
    lab.page.get_by_text("fn add(a:u32,b:u32)").first.wait_for()
    assert cell_text(lab, 1) == CELL.replace(" --asm init --asm add", "")


def test_a_cell_is_formatted_in_place_in_notebook_7(classic: Lab) -> None:
    classic.open_notebook("%load_ext kernellab", CELL)
    classic.run_all_cells(timeout=120)
    classic.page.get_by_text("a: u32, b: u32").first.wait_for(timeout=60_000)
    classic.page.locator("th", has_text="Instructions").first.wait_for()
    assert "    // no overflow\n    a.wrapping_add(b)\n" in cell_text(classic, 1)


def test_rustfmt_shows_the_change(lab: Lab) -> None:
    cell = CELL.replace(" --fmt --asm init --asm add", " --no-run")
    lab.open_notebook("%load_ext kernellab", cell, "%rustfmt tidy")
    lab.page.set_viewport_size({"width": 1100, "height": 1500})
    lab.run_all_cells(timeout=120)
    lab.page.get_by_text("%%rustdriver tidy is changed").wait_for(timeout=60_000)
    lab.page.get_by_text("What has changed").click()
    lab.page.get_by_text("tidy, formatted:").wait_for()
    lab.screenshot("editing-rustfmt")
