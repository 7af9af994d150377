"""The log's view by itself in a real browser: rows, places, files, a narrow pane."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from kernellab.protocol import BugcheckEvent, DbgPrint, Frame
from tests.browser.log_page import View, opened, prints, shown

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture
def view(browser: Browser) -> Iterator[View]:
    with opened(browser) as context, shown(context) as view:
        yield view


def test_a_long_log_is_scrolled_line_by_line_beyond_what_a_browser_can_stack(view: View) -> None:
    view.send(prints(500_000))
    assert view.page.locator(".kernellab-sizer").evaluate("(e) => e.offsetHeight") == 8_000_000
    assert view.in_sight()[-1] == "line 499999"
    view.port.press("Home")
    view.port.press("PageDown")
    shown = view.in_sight()
    assert shown == [f"line {n:06d}" for n in range(int(shown[0][5:]), int(shown[-1][5:]) + 1)]
    view.port.evaluate("(e) => { e.scrollTop = (e.scrollHeight - e.clientHeight) / 2; }")
    middle = int(view.in_sight()[0][5:])
    assert abs(middle - 250_000) < 50
    view.port.hover()
    view.page.mouse.wheel(0, 180)
    view.page.wait_for_function("document.querySelector('.kernellab-layer') !== null")
    assert int(view.in_sight()[0][5:]) == middle + 10, "a wheel's pixels are pixels"
    # A search that begins here keeps this place, and comes back to it.
    view.query.fill("9999")
    view.count("95 of 500,000 lines")
    assert view.in_sight()[0] == "line 259999"
    view.query.fill("")
    view.count("500,000 lines")
    assert int(view.in_sight()[0][5:]) == middle + 10


def test_rows_out_of_sight_are_selected_and_copied(view: View) -> None:
    view.send(prints(1_000))
    view.port.press("Home")
    view.port.locator(".kernellab-row").nth(2).click()
    for _ in range(3):
        view.port.press("Shift+PageDown")
    view.port.press("Shift+ArrowDown")
    lines = view.copied("Control+c").splitlines()
    assert lines[0] == "line 000002" and len(lines) > 40
    assert lines == [f"line {n:06d}" for n in range(2, 2 + len(lines))]
    view.port.press("Control+a")
    assert len(view.copied("c").splitlines()) == 1_000
    # Dragging past the lower edge goes on there.
    view.port.press("Home")
    box = view.port.bounding_box()
    assert box is not None
    view.page.mouse.move(200, box["y"] + 30)
    view.page.mouse.down()
    view.page.mouse.move(200, box["y"] + box["height"] + 30)
    view.page.locator('.kernellab-row.selected:has-text("line 000030")').wait_for()
    view.page.mouse.up()
    lines = view.copied("Control+c").splitlines()
    assert lines[0] == "line 000001" and len(lines) >= 30


def test_files_of_what_is_shown_and_of_all(view: View) -> None:
    view.send(prints(3, irql=2))
    view.send([DbgPrint(driver="hello", text="x" * 9_000 + "\n", time=0.5, component=77)])
    view.query.fill("line")
    view.count("3 of 6 lines")
    name, text = view.chosen_file("Lines shown, text")
    assert name == "hello.log"
    assert text.splitlines()[1] == "    0.001000  line 000001"
    name, text = view.chosen_file("All lines, JSON")
    assert name == "hello.jsonl"
    made = [json.loads(line) for line in text.splitlines()]
    assert made[1] == {
        "event": "dbgprint", "driver": "hello", "time": 0.001, "text": "line 000001\n",
        "level": 0, "component": 77, "irql": 2, "thread": 7,
    }  # fmt: skip
    assert made[3]["text"] == "x" * 9_000 + "\n", "a long line is one again"


def test_a_bug_check_s_line_leads_to_the_cell(view: View) -> None:
    frame = Frame(file="cell", line=1, function="hello::init", address="0x1")
    view.send([DbgPrint(driver="hello", text="panicked at proto.rs:12:5: no\n", component=77)])
    view.send([DbgPrint(driver="hello", text="a text of cell:9\n", component=77)])
    view.send([BugcheckEvent(driver="hello", code="0x7e", name="WRONG", frames=(frame,))])
    view.port.locator("button.place").nth(1).wait_for()
    assert view.port.locator("button.place").all_text_contents() == ["proto.rs:12:5", "cell:1"]
    view.port.locator("button.place").first.click()
    view.port.press("End")
    view.port.press("Enter")
    assert view.page.evaluate("revealed") == [
        {"driver": "hello", "file": "proto.rs", "line": 12},
        {"driver": "hello", "file": None, "line": 1},
    ]


def test_times_and_wrapped_lines(view: View) -> None:
    view.send(prints(3))
    view.send([DbgPrint(driver="hello", text="long " * 100 + "\n", time=1.5, component=77)])
    times = view.port.locator(".time")
    view.port.press("t")
    view.page.locator(".time.zero").wait_for()
    assert times.all_text_contents() == ["+0 µs", "+1.000 ms", "+2.000 ms", "+1.500 s"]
    view.port.press("t")
    view.page.locator(".time.zero").wait_for(state="detached")
    assert times.all_text_contents() == ["", "+1.000 ms", "+1.000 ms", "+1.498 s"]
    view.port.press("w")
    view.page.locator(".kernellab-rows.wrap").wait_for()
    heights = view.port.locator(".kernellab-row").evaluate_all(
        "(r) => r.map((e) => e.offsetHeight)"
    )
    assert heights[3] > 3 * heights[0] and len(set(heights[:3])) == 1
    view.send(prints(500, 2000))
    view.port.press("End")
    assert view.in_sight()[-1] == "line 002499"
    view.port.press("Home")
    assert view.in_sight()[0] == "line 000000"


def test_lines_that_come_while_it_stays_are_told(view: View) -> None:
    view.send(prints(200))
    view.port.press("Home")
    view.page.get_by_role("button", name="▼ Follow").wait_for()
    view.send(prints(7, 200))
    below = view.page.get_by_role("button", name="7 new lines below")
    below.wait_for()
    assert view.in_sight()[0] == "line 000000"
    view.page.screenshot(path="tests/artefacts/log-paused-light.png")
    below.click()
    view.page.get_by_role("button", name="Following").wait_for()
    assert view.in_sight()[-1] == "line 000206"


def test_the_next_pane_looks_as_this_one_was_set(browser: Browser) -> None:
    with opened(browser) as context:
        with shown(context) as view:
            view.send(prints(3) + prints(2, 3, driver="echo"))
            view.port.locator(".cell.driver").first.wait_for()
            view.port.press("t")
            view.port.press("w")
            view.page.get_by_role("button", name="View: times").click()
            view.page.get_by_role("menuitemcheckbox", name="IRQL").click()
            page = view.page
        with shown(context, page) as view:
            view.send(prints(3))
            view.port.locator(".time.zero").wait_for()
            assert view.page.locator(".kernellab-rows.wrap").is_visible()
            assert view.port.locator(".cell.irql").count() == 3
            assert view.port.locator(".cell.driver").count() == 0, "one driver needs no column"


def test_all_of_a_long_log_is_copied_in_slices(view: View) -> None:
    view.send(prints(300_000))
    view.page.evaluate(
        """() => {
          const write = async ([item]) => {
            window.clip = await (await item.getType("text/plain")).text();
          };
          Object.defineProperty(navigator, "clipboard", { configurable: true, value: { write } });
        }"""
    )
    said = view.page.evaluate(
        """async () => {
          const all = [...document.querySelectorAll("button")];
          const button = all.find((b) => b.textContent === "Copy");
          button.click();
          const wait = (time) => new Promise((next) => setTimeout(next, time));
          while (!button.textContent.includes("%")) await wait(0);
          const said = button.textContent;
          button.click();
          await wait(300);
          return [said, button.textContent, window.clip ?? null];
        }"""
    )
    assert said[0].endswith("% ✕") and said[1:] == ["Copy", None], "a second press stops it"
    view.page.get_by_role("button", name="Copy", exact=True).click()
    view.page.get_by_role("button", name="Copied").wait_for()
    lines = view.page.evaluate("clip").splitlines()
    assert lines == [f"line {n:06d}" for n in range(300_000)]


def test_the_bar_is_one_line_in_a_narrow_pane(view: View) -> None:
    view.page.set_viewport_size({"width": 716, "height": 420})
    view.send(prints(12_345))
    view.page.evaluate("setHead({ dropped: 12345678 })")
    view.page.get_by_role("button", name="Find without hiding lines").click()
    view.query.fill("line")
    view.count("12,345 found in 12,345 lines")
    view.port.press("Home")
    view.port.press("n")
    view.count("2/12,345 found")
    heights = "(e) => e.offsetHeight"
    view.page.screenshot(path="tests/artefacts/log-narrow-light.png")
    assert view.page.locator(".log .bar").evaluate(heights) < 40
    told = view.page.locator(".count")
    assert "dropped" in told.inner_text()
    assert told.evaluate("(e) => e.scrollWidth <= e.clientWidth"), "nothing of it is cut off"
    bar = view.page.locator(".log .bar")
    assert bar.evaluate("(e) => e.scrollWidth <= e.clientWidth")
    assert "found in 12,345 lines · 12,345,678 dropped" in (told.get_attribute("title") or "")
    view.page.set_viewport_size({"width": 1200, "height": 420})
    assert told.inner_text() == "2/12,345 found in 12,345 lines · 12,345,678 dropped"
    assert bar.evaluate(heights) < 40


def test_a_watched_driver_s_line_is_found_in_its_own_cell(browser: Browser) -> None:
    with opened(browser) as context, shown(context) as view:
        view.page.evaluate(
            """() => {
              const cell = (...lines) => {
                const el = document.createElement("div");
                el.className = "jp-Cell";
                for (const text of lines) {
                  const row = document.createElement("div");
                  row.className = "cm-line";
                  row.textContent = text;
                  el.append(row);
                }
                return el;
              };
              window.keep = true;
              const own = cell("kernellab.watch(one, hello)", "second", "third");
              own.append(document.querySelector(".kernellab-log"));
              document.body.append(cell("%%rustdriver one", "a", "b"),
                cell("", "%%rustdriver hello --verify", "fn main() {", "panic!()"),
                cell("%%rustfile hello proto.rs", "struct P;"), own);
            }"""
        )
        view.send([DbgPrint(driver="hello", text="panicked at cell:3:5: no\n", component=77)])
        view.send([DbgPrint(driver="hello", text="panicked at proto.rs:2:1: no\n", component=77)])
        marked = "[...document.querySelectorAll('.cm-line')].filter((e) => e.children.length)"
        for place, line in (("cell:3:5", "panic!()"), ("proto.rs:2:1", "struct P;")):
            view.port.locator("button.place", has_text=place).click()
            assert line in view.page.evaluate(f"{marked}.map((e) => e.textContent)")
