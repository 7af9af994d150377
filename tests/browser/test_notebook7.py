"""Panes in Notebook 7: live, with their views, and in a notebook without its kernel."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.outcomes import CELLS

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from tests.browser.jupyter import Lab

#: What each cell's pane shows.
SAYS = {
    "hello": "hello from the kernel",
    "typo": "cannot find macro",
    "leaky": "The verifier found a mistake",
    "null": "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED",
    "evil": "<script>alert(1)</script><b>bold</b> ␛[31mred ‹U+202E›evil‹U+200B›x",
}
ALL = ["load", "hello", "typo", "leaky", "unload", "null", "evil"]


def output_of(lab: Lab, name: str) -> Locator:
    return lab.page.locator(".jp-CodeCell").nth(ALL.index(name)).locator(".jp-OutputArea")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_panes_and_what_is_saved_of_them(classic: Lab, theme: str) -> None:
    classic.open_notebook(*(CELLS[name] for name in ALL), theme=theme)
    classic.page.set_viewport_size({"width": 1100, "height": 1400})
    classic.run_all_cells(timeout=240)
    for name, says in SAYS.items():
        output = output_of(classic, name)
        output.locator(".kernellab-log").get_by_text(says).first.wait_for()
        assert output.locator("[data-kernellab-static]").is_hidden()
        output.screenshot(path=classic.artefact(f"notebook7-{name}-{theme}.png"))
    evil = output_of(classic, "evil")
    evil.get_by_role("tab", name="Driver").click()
    evil.get_by_role("heading", name=re.compile("Imports")).or_(
        evil.get_by_text(re.compile(r"^Imports"))
    ).first.wait_for()
    evil.screenshot(path=classic.artefact(f"notebook7-driver-tab-{theme}.png"))
    assert classic.errors == []
    classic.save()
    classic.server.stop_kernels()
    for trust in (True, False):
        classic.open_notebook(kernel=False, trust=trust, theme=theme)
        classic.page.set_viewport_size({"width": 1100, "height": 1400})
        for name, says in SAYS.items():
            output = output_of(classic, name)
            output.locator(".kernellab-static").get_by_text(says).first.wait_for()
            assert "widget" not in output.inner_text()
            kind = "trusted" if trust else "untrusted"
            output.screenshot(path=classic.artefact(f"notebook7-{name}-{kind}-{theme}.png"))
        # What only a style can do is there also where the page takes style elements away.
        place = output_of(classic, "null").locator("pre strong", has_text="read_volatile").first
        assert (
            place.evaluate("e => getComputedStyle(e).backgroundColor") == "rgba(229, 57, 53, 0.28)"
        )
        classic.page.unroute_all()
