"""A page with the log's view alone: rows as the kernel sends them, no notebook around."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kernellab.pane._widget import script, style
from kernellab.pane.feed import _little
from kernellab.pane.rows import Rows
from kernellab.protocol import DbgPrint

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
        if self.rows.total:
            self.port.wait_for()  # drawn for the first time: keys reach nothing that is hidden

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


def prints(count: int, start: int = 0, **more: Any) -> list[Event]:
    fields: dict[str, Any] = {"driver": "hello", "component": 77, **more}
    return [
        DbgPrint(text=f"line {n:06d}\n", time=n * 1e-3, thread=7, **fields)
        for n in range(start, start + count)
    ]
