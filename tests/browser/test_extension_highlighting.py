"""Rust cells are Rust to the editor, in JupyterLab and in Notebook 7, with nothing installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.drivers import driver_source

if TYPE_CHECKING:
    from tests.browser.jupyter import Lab


HELLO = f"""%%rustdriver hello --seed 7  # the first
{driver_source('println!("hello from {}", 0x2a); // said')}"""
FILE = "%%rustfile hello proto.rs\npub const LIMIT: usize = 64;\nfn let_me() {}"
TOML = "%%rustfile hello data.txt\nfn is no keyword here"
PYTHON = "# %%rustdriver is not the first line's word\ndef f():\n    return 1"


@pytest.fixture(params=["lab", "classic"])
def page(request: pytest.FixtureRequest) -> Iterator[Lab]:
    yield request.getfixturevalue(request.param)


def colours(lab: Lab, cell: int) -> dict[str, str]:
    """Colour of each highlighted word of a cell's editor."""
    found: Any = (
        lab.page.locator(".jp-CodeCell .cm-content")
        .nth(cell)
        .evaluate(
            """content => Object.fromEntries([...content.querySelectorAll('.cm-line span')]
           .map(s => [s.textContent.trim(), getComputedStyle(s).color]))"""
        )
    )
    return dict(found)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_rust_is_highlighted(page: Lab, theme: str) -> None:
    page.open_notebook(PYTHON, HELLO, FILE, TOML, "\n  %%rustcheck\nfn f() {}", theme=theme)
    for word in ("fn", "def"):
        page.page.locator(f'.jp-CodeCell .cm-content span:text-is("{word}")').first.wait_for()
    python, hello, file = colours(page, 0), colours(page, 1), colours(page, 2)
    assert hello["fn"] == hello["impl"] == python["def"] == hello["%%rustdriver"]
    assert hello["// said"] == python["# %%rustdriver is not the first line's word"]
    assert hello["--seed"] not in (hello["%%rustdriver"], hello["fn"])
    assert file["pub"] == file["fn"] == python["def"]
    assert "fn" not in colours(page, 3) and colours(page, 4)["fn"] == python["def"]
    page.screenshot(f"highlighting-{page.server.application}-{theme}")
    assert page.errors == []


def test_it_follows_the_first_line(page: Lab) -> None:
    page.open_notebook("x\nfn f() {}")
    content = page.page.locator(".jp-CodeCell .cm-content")
    keyword = content.locator('span:text-is("fn")')
    content.click()
    press = page.page.keyboard.press
    press("Control+Home")
    press("Delete")
    page.page.keyboard.type("%%rustdriver hello")
    keyword.wait_for()
    press("Control+Home")
    press("Delete")
    keyword.wait_for(state="detached")
    page.page.keyboard.type("%")
    keyword.wait_for()
    assert page.errors == []


def test_typing_indents_dedents_and_comments_as_rust(page: Lab) -> None:
    page.open_notebook("%%rustdriver hello")
    content = page.page.locator(".jp-CodeCell .cm-content")
    content.click()
    keys = page.page.keyboard
    keys.press("Control+End")
    for line in ("", "fn f() {", "if true {", "g();", "}"):
        keys.type(line)
        if line != "}":
            keys.press("Enter")
    page.page.wait_for_timeout(100)
    keys.press("Control+/")
    lines = [str(line) for line in content.locator(".cm-line").all_inner_texts()]
    assert lines == ["%%rustdriver hello", "fn f() {", "    if true {", "        g();", "    // }"]
    keys.press("Control+/")
    keys.press("Control+Home")
    keys.press("Control+/")
    assert content.locator(".cm-line").first.inner_text().startswith("# %%rust")
    assert page.errors == []
