"""An executed notebook as nbconvert exports it, and as a code host shows that, without styles."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import mistune
from nbconvert import HTMLExporter, MarkdownExporter

from tests.browser.jupyter import ROOT, artefact
from tests.outcomes import executed
from tests.test_degrade import SAYS, stripped

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from playwright.sync_api import Browser


def test_pages_of_exports(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(beside))
    notebook = executed(tmp_path)
    context = browser.new_context(viewport={"width": 1000, "height": 900}, offline=True)
    page = context.new_page()
    try:
        for theme in ("light", "dark"):
            body, _ = HTMLExporter(theme=theme).from_notebook_node(notebook)
            page.set_content(body)
            panes = page.locator(".kernellab-static")
            assert panes.count() == len(SAYS) - 2, "all but what %rustcheck and a driver show"
            assert all(each.is_visible() for each in panes.all())
            # The page scrolls down, never sideways: what is wide scrolls by itself.
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            page.screenshot(path=artefact(f"export-{theme}.png"), full_page=True)
        body, _ = MarkdownExporter().from_notebook_node(notebook)
        made = mistune.create_markdown(escape=False)(body)
        page.set_content(f"<meta charset=utf-8>{stripped(str(made))}")
        page.screenshot(path=artefact("export-code-host.png"), full_page=True)
        assert page.get_by_text("The driver read address 0").first.is_visible()
    finally:
        context.close()
