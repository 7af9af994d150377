"""Cells are changed by ``%rustfmt``'s output and by panes: in one undoable step, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page

from kernellab.editing.formatting import EDIT, reformatted
from tests.browser.jupyter import notebook
from tests.drivers import driver_source

if TYPE_CHECKING:
    from tests.browser.jupyter import Lab


SOURCES = Path(__file__).parents[2] / "labextension" / "src"
UGLY = "%%rustdriver hello --no-run\n" + driver_source('println!( "𝔘nformatted" ) ;').rstrip()
FILE = "%%rustfile hello proto.rs\npub const A: u32 = 1;\npub const B: u32 = 2;"
DRIVER = '%%rustdriver hello\nfn a() {}\nfn ü() { "𝔘𝔘"; let x = 1; }\nfn c() {}'


@pytest.fixture(params=["lab", "classic"])
def page(request: pytest.FixtureRequest) -> Iterator[Lab]:
    yield request.getfixturevalue(request.param)


def text_of(lab: Lab, cell: int) -> str:
    """A code cell's text as its editor has it."""
    lines = lab.page.locator(".jp-CodeCell").nth(cell).locator(".cm-line").all_inner_texts()
    return "\n".join(line.replace("\n", "") for line in lines)


def dispatch(lab: Lab, cell: int, name: str, **detail: Any) -> dict[str, Any]:
    """What a pane in the output of a cell does: ``handled`` and the event's ``result``."""
    found: Any = (
        lab.page.locator(".jp-CodeCell")
        .nth(cell)
        .locator(".jp-OutputArea")
        .evaluate(
            """(root, [name, detail]) => {
             const event = new CustomEvent(name, { bubbles: true, cancelable: true, detail });
             root.dispatchEvent(event);
             return { handled: event.defaultPrevented, result: event.detail.result ?? null }; }""",
            [name, detail],
        )
    )
    return dict(found)


def edit(line: int, column: int, end: int, expected: str, text: str) -> dict[str, Any]:
    return {"line": line, "column": column, "end_line": line, "end_column": end,
            "expected": expected, "text": text}  # fmt: skip


def test_rustfmt_formats_the_cell_and_undo_takes_it_back(page: Lab) -> None:
    page.open_notebook("%load_ext kernellab", UGLY, "%rustfmt hello")
    page.run_all_cells(timeout=180)
    status = page.page.locator(".kernellab-edit-output [role=status]")
    status.wait_for()
    assert "%%rustdriver hello is changed in" in status.inner_text()
    page.page.get_by_text("What has changed").click()
    assert '+        println!("𝔘nformatted");' in page.page.locator("details pre").inner_text()
    formatted = text_of(page, 1)
    assert 'println!("𝔘nformatted");' in formatted
    page.screenshot(f"rustfmt-{page.server.application}")
    page.page.locator(".jp-CodeCell .cm-content").nth(1).click()
    page.page.keyboard.press("Control+z")
    assert text_of(page, 1) == UGLY
    page.page.keyboard.press("Control+Shift+z")
    assert text_of(page, 1) == formatted
    page.page.keyboard.press("Control+z")
    # The saved notebook has the output and the text that it expects: nothing happens to it.
    assert EDIT in page.save().cells[2].outputs[0].data
    page.open_notebook()
    page.page.locator(".kernellab-edit-output").wait_for()
    assert "not applied again" in page.page.locator(".kernellab-edit-output").inner_text()
    assert text_of(page, 1) == UGLY
    assert page.errors == []


def test_a_notebook_cannot_change_its_cells_by_being_opened(page: Lab) -> None:
    """Trusted or not, and not when its other cells run either."""
    made = notebook("%%rustdriver hello\nfn f() {}", "1 + 1", "2 + 2")
    change = reformatted("rustdriver", "hello", None, made.cells[0].source, "fn evil() {}")
    data = change._repr_mimebundle_()
    made.cells[1].outputs = [
        nbformat.v4.new_output("display_data", data=data),
        nbformat.v4.new_output("execute_result", data=data, execution_count=1),
    ]
    page.open_notebook(made=made, kernel=False)
    page.page.locator(".kernellab-edit-output").nth(1).wait_for()
    assert text_of(page, 0) == made.cells[0].source
    page.page.unroute_all()
    page.open_notebook(made=made)
    page.page.locator(".jp-CodeCell .cm-content").nth(2).click()
    page.page.keyboard.press("Control+Enter")
    page.page.get_by_text("4", exact=True).wait_for()
    assert text_of(page, 0) == made.cells[0].source


def test_a_cell_that_has_changed_is_left_alone(lab: Lab) -> None:
    show = (
        "from kernellab.editing.formatting import reformatted\n"
        "reformatted('rustdriver', 'hello', None, '%%rustdriver hello\\nfn old() {}', 'fn x() {}')"
    )
    lab.open_notebook("%%rustdriver hello\nfn new() {}", show)
    lab.page.locator(".jp-CodeCell .cm-content").nth(1).click()
    lab.page.keyboard.press("Control+Enter")
    output = lab.page.locator(".kernellab-edit-output")
    output.wait_for()
    assert "has changed since it ran: it is left as it is" in output.inner_text()
    assert "+fn x() {}" in output.inner_text()
    assert text_of(lab, 0) == "%%rustdriver hello\nfn new() {}"


def test_a_panes_fix_is_applied_at_once_or_not_at_all(page: Lab) -> None:
    page.open_notebook(DRIVER, FILE)
    fix = [edit(4, 4, 5, "c", "sea"), edit(3, 20, 21, "x", "_x"), edit(2, 1, 1, "", "pub ")]
    done = dispatch(page, 0, "kernellab-edit", driver="hello", file=None, edits=fix, title="Fix it")
    assert done["handled"] and done["result"]["ok"], done
    assert "Fix it" in done["result"]["message"]
    fixed = '%%rustdriver hello\npub fn a() {}\nfn ü() { "𝔘𝔘"; let _x = 1; }\nfn sea() {}'
    assert text_of(page, 0) == fixed
    again = dispatch(page, 0, "kernellab-edit", driver="hello", file=None, edits=fix, title="")
    assert again["handled"] and not again["result"]["ok"]
    assert "line 4 has changed since" in again["result"]["message"]
    assert text_of(page, 0) == fixed
    page.page.locator(".jp-CodeCell .cm-content").first.click()
    page.page.keyboard.press("Control+z")
    assert text_of(page, 0) == DRIVER
    other = [edit(3, 11, 12, "B", "C")]
    done = dispatch(
        page, 0, "kernellab-edit", driver="hello", file="proto.rs", edits=other, title=""
    )
    assert done["result"]["ok"] and "pub const C" in text_of(page, 1)
    assert page.errors == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"edits": [edit(9, 1, 1, "", "x")]}, "no line 9"),
        ({"edits": [edit(2, 1, 99, "", "x")]}, "no line 2"),
        ({"edits": [edit(2, 1, 3, "fn", "a"), edit(2, 2, 4, "n ", "b")]}, "overlap"),
        ({"edits": []}, "no change"),
        ({"edits": [{"line": 1}]}, "no change"),
        ({"driver": "other"}, "no cell %%rustdriver other"),
        ({"file": "none.rs"}, "no cell %%rustfile hello none.rs"),
    ],
)
def test_a_wrong_fix_is_refused_with_the_reason(lab: Lab, change: Any, says: str) -> None:
    lab.open_notebook(DRIVER)
    detail = {"driver": "hello", "file": None, "edits": [edit(2, 1, 3, "fn", "x")], "title": ""}
    done = dispatch(lab, 0, "kernellab-edit", **{**detail, **change})
    assert done["handled"] and not done["result"]["ok"] and says in done["result"]["message"]
    assert text_of(lab, 0) == DRIVER


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_line_is_shown(page: Lab, theme: str) -> None:
    long = "%%rustdriver hello\n" + "\n".join(f"fn f{line}() {{}}" for line in range(2, 120))
    page.open_notebook("\n" + long, "1", "2", theme=theme)
    last = page.page.locator(".jp-CodeCell .jp-InputArea").last
    last.scroll_into_view_if_needed()
    shown = dispatch(page, 2, "kernellab-reveal", driver="hello", file=None, line=60)
    assert shown["handled"]
    line = page.page.locator(".kernellab-flash")
    line.wait_for()
    assert line.inner_text() == "fn f60() {}"
    box = line.bounding_box()
    assert box and 0 < box["y"] < 850
    page.screenshot(f"reveal-{page.server.application}-{theme}")
    page.page.keyboard.type("// here: ")
    assert "// here: fn f60() {}" in text_of(page, 0)
    line.wait_for(state="detached")
    assert not dispatch(page, 2, "kernellab-reveal", driver="x", file=None, line=1)["handled"]
    assert page.errors == []


@pytest.fixture(scope="module")
def texts(browser: Browser) -> Iterator[Page]:
    """A page that has the extension's module on texts."""
    made = browser.new_page()
    source = (SOURCES / "texts.js").read_text(encoding="utf-8")
    made.evaluate(
        """async source => {
             const made = new Blob([source], { type: "text/javascript" });
             window.texts = await import(URL.createObjectURL(made)); }""",
        source,
    )
    yield made
    made.close()


LINES = st.lists(st.sampled_from(["a", "b", "  a", "𝔘x", "𝔙x", "", "fn f() {", "}"]), max_size=9)
TEXT = st.builds(lambda lines, end: "\n".join(lines) + end, LINES, st.sampled_from(["", "\n"]))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=TEXT, after=TEXT)
def test_changes_lead_from_one_text_to_the_other(texts: Page, before: str, after: str) -> None:
    changes: Any = texts.evaluate(
        """([before, after]) => {
             const changes = texts.changesBetween(before, after);
             let out = before;
             for (const c of [...changes].reverse()) {
               out = out.slice(0, c.from) + c.text + out.slice(c.to); }
             const halves = /^[\\udc00-\\udfff]|[\\ud800-\\udbff]$/;
             return { out, apart: changes.every((c, i) => !i || changes[i - 1].to <= c.from),
               whole: changes.every(c => !halves.test(c.text)
                 && !halves.test(before.slice(c.from, c.to))), count: changes.length }; }""",
        [before, after],
    )
    assert changes["out"] == after and changes["apart"] and changes["whole"]
    assert (changes["count"] == 0) == (before == after)
