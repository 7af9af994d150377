"""The log's view by itself in a real browser: rows as the kernel sends them, no notebook around."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from kernellab.pane._widget import script, style
from kernellab.pane.feed import _little
from kernellab.pane.rows import Rows
from kernellab.protocol import BugcheckEvent, DbgPrint, Frame, State

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

    from kernellab.protocol import Event

#: A widget's model with what the view uses of it; `take` is a message of the kernel.
MODEL = """async ([code, head]) => {
  const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const { render } = (await import(url)).default;
  const heard = {};
  const state = { head, panels: [], snapshot: {} };
  render({ el: document.body, model: {
    get: (name) => state[name], send: () => {},
    on: (name, act) => (heard[name] ??= []).push(act),
  } });
  window.revealed = [];
  window.setHead = (more) => {
    state.head = { ...state.head, ...more };
    for (const act of heard["change:head"]) act();
  };
  document.body.addEventListener("kernellab-reveal", (event) => {
    if (window.keep) return;
    event.preventDefault();
    window.revealed.push(event.detail);
  });
  window.take = ({ content, buffers }) => {
    const view = (b) => new DataView(Uint8Array.from(atob(b), (c) => c.charCodeAt(0)).buffer);
    const bytes = buffers.map(view);
    for (const act of heard["msg:custom"]) act(content, bytes);
  };
}"""

IN_SIGHT = """() => {
  const { top, bottom } = document.querySelector(".kernellab-rows").getBoundingClientRect();
  return [...document.querySelectorAll(".kernellab-row")].filter((row) => {
    const box = row.getBoundingClientRect();
    return box.bottom > top + 2 && box.top < bottom - 2;
  }).map((row) => row.querySelector(".text").textContent);
}"""


class View:
    """A page that shows a log."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.rows = Rows("fn main() {}\n")
        self.port = page.locator(".kernellab-rows")
        self.query = page.get_by_label("Filter the log by text")

    def send(self, events: Iterator[Event] | list[Event]) -> None:
        first = self.rows.add(events)
        while first < self.rows.total:
            batch = self.rows.batch(first, 20_000, 2_000_000)
            columns = [_little(batch.times), _little(batch.meta)]
            columns += ["\n".join(batch.texts).encode(), _little(batch.origin)]
            content = {"type": "rows", "first": first, "base": self.rows.base}
            content |= {"total": self.rows.total, "drivers": self.rows.drivers}
            content |= {"components": {str(k): v for k, v in self.rows.components.items()}}
            buffers = [base64.b64encode(column).decode() for column in columns]
            self.page.evaluate("(m) => take(m)", {"content": content, "buffers": buffers})
            first += len(batch.texts)

    def in_sight(self) -> list[str]:
        """The texts of the rows in sight, after the next drawing."""
        self.page.evaluate(
            "new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(() => r())))"
        )
        return self.page.evaluate(IN_SIGHT)  # type: ignore[no-any-return]

    def count(self, text: str) -> None:
        """Wait until the pane says so many lines."""
        self.page.locator(".count", has_text=text).wait_for()
        self.page.wait_for_function("!document.querySelector('.count').textContent.includes('…')")

    def copied(self, act: str) -> str:
        self.page.evaluate(
            "window.clip = null; navigator.clipboard ??= {};"
            " Object.defineProperty(navigator, 'clipboard', {configurable: true, value:"
            " {writeText: async (text) => { window.clip = text; }}})"
        )
        self.port.press(act)
        self.page.wait_for_function("window.clip !== null")
        return self.page.evaluate("window.clip")  # type: ignore[no-any-return]

    def chosen_file(self, label: str) -> tuple[str, str]:
        """The name and the text of a file saved with the menu."""
        self.page.get_by_role("button", name="Save the log").click()
        with self.page.expect_download() as started:
            self.page.get_by_role("menuitem", name=label).click()
        return started.value.suggested_filename, started.value.path().read_text("utf-8")


@contextmanager
def opened(browser: Browser, policy: str = "") -> Iterator[BrowserContext]:
    """A browser's context whose pages come from a server that is not there."""
    context = browser.new_context(viewport={"width": 760, "height": 520}, accept_downloads=True)
    headers = {"Content-Security-Policy": policy} if policy else {}
    body = f"<style>{style()}</style><body data-jp-theme-light='true'></body>"
    answer = {"body": body, "content_type": "text/html", "headers": headers}
    context.route("https://kernellab.test/", lambda route: route.fulfill(**answer))
    try:
        yield context
    finally:
        context.close()


@contextmanager
def shown(context: BrowserContext, page: Page | None = None) -> Iterator[View]:
    """A view in a new page, or once more in one that is there."""
    page = page or context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto("https://kernellab.test/")
    head = {"title": "hello", "state": "running", "files": ["cell", "proto.rs"]}
    page.evaluate(MODEL, [script(), head])
    yield View(page)
    assert wrong == []


@pytest.fixture
def view(browser: Browser) -> Iterator[View]:
    with opened(browser) as context, shown(context) as view:
        yield view


def prints(count: int, start: int = 0, **more: Any) -> list[Event]:
    fields: dict[str, Any] = {"driver": "hello", "component": 77, **more}
    return [
        DbgPrint(text=f"line {n:06d}\n", time=n * 1e-3, thread=7, **fields)
        for n in range(start, start + count)
    ]


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


def test_what_a_search_finds_is_what_each_line_says(view: View) -> None:
    view.send(prints(9_000))
    view.page.get_by_role("button", name="Regular expression").click()
    texts = [f"line {n:06d}" for n in range(9_000)]
    patterns = ("000$", "^line 00[12]", r"1\s*$", "[^x]*88", "(?=line 0000)", "8|^$", "LINE 00000")
    for pattern in patterns:
        view.query.fill(pattern)
        count = sum(bool(re.search(pattern, text, re.IGNORECASE)) for text in texts)
        view.count(f"{count:,} of 9,000 lines")
    view.query.fill("[a")
    view.page.get_by_text("Not a regular expression").wait_for()
    view.count("10 of 9,000 lines")
    view.query.fill("LINE 00000")
    view.page.get_by_role("button", name="Match case").click()
    view.count("0 of 9,000 lines")


def test_filters_are_shown_and_taken_away(view: View) -> None:
    view.send(prints(10) + prints(5, 10, level=1, component=101, driver="echo"))
    view.send([State(driver="echo", state="unloaded")])
    view.page.get_by_role("button", name="Filters").click()
    view.page.get_by_label("Warning").uncheck()
    view.count("11 of 16 lines")
    view.page.get_by_label("echo").uncheck()
    view.count("10 of 16 lines")
    view.page.get_by_label("first").fill("0.003")
    view.page.get_by_label("last", exact=True).fill("0.006")
    view.page.get_by_label("last", exact=True).press("Enter")
    view.count("4 of 16 lines")
    view.page.keyboard.press("Escape")
    assert view.in_sight() == [f"line {n:06d}" for n in range(3, 7)]
    view.page.screenshot(path="tests/artefacts/log-filters-light.png")
    view.page.get_by_role("button", name="Remove filter: level").click()
    view.page.get_by_role("button", name="Remove filter: driver: hello").click()
    view.count("4 of 16 lines")
    view.page.get_by_role("button", name="Clear filters").click()
    view.count("16 lines")
    view.port.locator(".time").nth(12).click(modifiers=["Shift"])
    view.count("4 of 16 lines")


def test_find_marks_and_hides_nothing(view: View) -> None:
    view.send(prints(300))
    view.page.get_by_role("button", name="Find without hiding lines").click()
    view.port.press("Home")
    view.port.press("/")
    view.page.keyboard.type("50")
    view.count("1/3 found in 300 lines")
    view.page.keyboard.press("Enter")
    view.count("2/3 found")
    assert "line 000150" in view.in_sight() and "line 000151" in view.in_sight()
    view.port.press("n")
    view.count("3/3 found")
    view.port.press("N")
    view.count("2/3 found")
    assert view.port.locator(".current mark").inner_text() == "50"


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


#: A line on which ``(a+)+$`` takes longer than anybody waits.
ENDLESS = DbgPrint(driver="hello", text="a" * 60 + "!\n", time=0.1, component=77)


def test_an_expression_that_never_ends_is_given_up(view: View) -> None:
    view.send([*prints(9_000), ENDLESS])
    view.page.get_by_role("button", name="Regular expression").click()
    view.query.fill("(a+)+$")
    # The page answers meanwhile: each of these would wait for the expression.
    assert view.in_sight()[-1].endswith("!")
    view.page.get_by_role("alert").filter(has_text="too slow: it took more than 2 s").wait_for()
    view.count("9,001 lines")
    view.page.screenshot(path="tests/artefacts/log-slow-expression-light.png")
    view.query.fill("(a)+!$")
    view.count("1 of 9,001 lines")
    view.port.locator("mark").first.wait_for()  # the worker's answer comes after the count
    assert view.port.locator("mark").all_text_contents() == ["a" * 60 + "!"]
    assert view.query.get_attribute("aria-invalid") == "false"
    view.query.fill("(a+)+$")
    view.page.get_by_role("alert").filter(has_text="too slow").wait_for()
    view.count("9,001 lines")
    # In finding mode, and with lines that go on coming, likewise.
    view.query.fill("8+$")
    view.page.get_by_role("button", name="Find without hiding lines").click()
    view.send(prints(88, 9_001))
    view.count("found in 9,089 lines")
    expected = sum(bool(re.search("8$", f"{n}")) for n in [*range(9_000), *range(9_001, 9_089)])
    view.count(f"{expected:,} found in 9,089 lines")


def test_expressions_where_no_worker_is_allowed(browser: Browser) -> None:
    policy = "worker-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob:"
    with opened(browser, policy) as context, shown(context) as view:
        view.send(prints(9_000))
        view.page.get_by_role("button", name="Regular expression").click()
        view.query.fill("^line 00[12]")
        view.count("2,000 of 9,000 lines")
        view.port.locator("mark").first.wait_for()
        view.send(prints(10, 1_000))
        view.count("2,010 of 9,010 lines")


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
