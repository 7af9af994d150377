"""The log's view by itself in a real browser: filters, finding, and expressions that are slow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from kernellab.protocol import DbgPrint, State
from tests.browser.log_page import View, opened, prints, shown

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture
def view(browser: Browser) -> Iterator[View]:
    with opened(browser) as context, shown(context) as view:
        yield view


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
