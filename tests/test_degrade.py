"""A notebook without its kernel: as nbconvert exports it, as a code host shows it, as text."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import mistune
import nbformat
import pytest
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter, LatexExporter, MarkdownExporter, PythonExporter

from tests.outcomes import CELLS, executed, output
from tests.pane.helpers import FORBIDDEN

#: What a reader must find of each cell, in every form.
SAYS = {
    "hello": ["hello: gone", "hello from the kernel", "22,016 bytes, SHA-256"],
    "typo": ["typo: failed", "cannot find macro", "8 +         println!", "cell:8:9"],
    "check": ["cannot find macro", "help: a macro with a similar name exists"],
    "leaky": ["leaky: unloaded", "leak-pool", "8_", "to read: Bug Check 0xC4", "IopLoadDriver"],
    "null": ["null: bug check", "0x0000007E", "a null pointer was used", "9_", "→ +0x"],
    "chatty": ["line 0 of many", "line 8999 of many", "the whole log is in kernellab-logs/"],
    "traced": ["traced: running", "Timeline"],
    "listed": ["a.wrapping_mul(b) ^ 7", "inlined: ", "xor", "ret"],
    "driver": ["listed", "running"],
    "evil": ["<script>alert(1)</script><b>bold</b> ␛[31mred ‹U+202E›evil‹U+200B›x", "# no heading"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outcomes")


@pytest.fixture(scope="module")
def notebook(folder: Path) -> Iterator[nbformat.NotebookNode]:
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(Path(__file__).parents[1]), before])
    )
    try:
        yield executed(folder)
    finally:
        os.environ["PYTHONPATH"] = before


def stripped(html: str) -> BeautifulSoup:
    """The page that a code host makes of ``html``: no style, script or class, nothing that acts.

    GitHub's Markdown does not drop ``<style>`` and ``<script>``: it shows them as text ("Disallowed
    Raw HTML" in the GitHub Flavored Markdown Spec), and so does this.
    """
    tag = r"<(?=/?(?:title|textarea|style|xmp|iframe|noembed|noframes|script|plaintext)\b)"
    page = BeautifulSoup(re.sub(tag, "&lt;", html), "html.parser")
    for element in page.find_all(True):
        if element.name == "link":
            element.decompose()
            continue
        for attribute in list(element.attrs):
            if attribute not in ("href", "src", "alt", "open", "start"):
                del element[attribute]
    return page


def check(name: str, text: str) -> None:
    """That ``text`` says what it must; a line's number with ``_`` is that of the marked line."""
    words = " ".join(text.split())
    for each in SAYS[name]:
        if each.endswith("_"):
            assert re.search(rf"(?:→|>) *{each[:-1]} ", text), (name, each, text)
        else:
            assert " ".join(each.split()).lower() in words.lower(), (name, each, text)


@pytest.mark.parametrize("name", SAYS)
def test_as_text(notebook: nbformat.NotebookNode, name: str) -> None:
    text = output(notebook, name, "text/plain")
    check(name, text)
    assert [hex(ord(each)) for each in FORBIDDEN if each in text] == []
    assert not re.search(r"<(?:div|pre|span|style)\b", text)


@pytest.mark.parametrize("name", SAYS)
def test_as_markdown_on_a_code_host(notebook: nbformat.NotebookNode, name: str) -> None:
    cell = notebook.cells[list(CELLS).index(name)]
    one = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=cell.outputs)])
    body, _ = MarkdownExporter().from_notebook_node(one)
    page = stripped(str(mistune.create_markdown(escape=False)(body)))
    text = page.get_text()
    check(name, text)
    assert not re.search(r"display:|font:|margin:|padding:|opacity:", text), "rules shown as text"
    # All of it is the pane's HTML still: none of it was read as Markdown.
    assert page.find(["h1", "h2", "script", "b"]) is None
    assert len(page.find_all("code", string=re.compile("^1\n?$"))) == 1
    images = page.find_all("img")
    assert len(images) == (1 if name == "traced" else 0)
    assert all(each["alt"] for each in images)


@pytest.mark.parametrize("name", SAYS)
def test_as_html(notebook: nbformat.NotebookNode, name: str) -> None:
    html = output(notebook, name, "text/html")
    page = BeautifulSoup(html, "html.parser")
    check(name, page.get_text())
    assert page.find(["script", "style", "iframe", "object", "b"]) is None
    assert not re.search(r"^\s*$", html, re.MULTILINE), "this would end a block of Markdown"
    for element in page.find_all(True):
        assert not [each for each in element.attrs if each.startswith("on")]
        assert not [each for each in element.get_attribute_list("class") if each.startswith("kl-")]


def test_lines_of_code_are_lines_without_styles(notebook: nbformat.NotebookNode) -> None:
    """What only ``white-space`` would keep apart runs together on a code host."""
    page = stripped(output(notebook, "listed", "text/html"))
    cells = [each for each in page.find_all("td") if "\n" in each.get_text()]
    assert cells
    assert all(each.find("pre") is not None for each in cells)


def test_the_whole_log_is_beside_the_notebook(
    notebook: nbformat.NotebookNode, folder: Path
) -> None:
    page = BeautifulSoup(output(notebook, "chatty", "text/html"), "html.parser")
    link = page.find("a")
    assert link is not None
    whole = (folder / str(link["href"])).read_text(encoding="utf-8")
    assert all(f"line {n} of many\n" in whole for n in (0, 4500, 8999))


def test_other_exports(notebook: nbformat.NotebookNode) -> None:
    for exporter in (HTMLExporter(), MarkdownExporter(), LatexExporter(), PythonExporter()):
        body, _ = exporter.from_notebook_node(notebook)
        assert "\x1b" not in body and "\u202e" not in body and "\u200b" not in body
        if isinstance(exporter, HTMLExporter):
            page = BeautifulSoup(body, "html.parser")
            assert "alert(1)" not in [each.get_text() for each in page.find_all("script")]
        if isinstance(exporter, LatexExporter):
            assert "leak-pool" in body and "0x0000007E" in body
