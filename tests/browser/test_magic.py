"""The main job as a person sees it: JupyterLab, run all cells, the driver's line in the pane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.drivers import driver_source

if TYPE_CHECKING:
    from tests.browser.jupyter import Lab


HELLO = f"""%%rustdriver hello
{driver_source('println!("hello from {}", "the kernel");')}"""
NULL = f"""%%rustdriver null --allow-failure
{driver_source("let _v = unsafe { core::ptr::null::<u32>().read_volatile() };")}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_rust_cell_prints_into_its_pane(lab: Lab, theme: str) -> None:
    lab.open_notebook("%load_ext kernellab", HELLO, "hello.unload()", NULL, theme=theme)
    lab.page.set_viewport_size({"width": 1100, "height": 2400})
    lab.run_all_cells(timeout=120)
    pane = lab.page.locator(".kernellab-log").first
    pane.get_by_text("hello from the kernel").wait_for(timeout=60_000)
    pane.get_by_text("bye").first.wait_for(timeout=60_000)
    check = lab.page.locator(".kernellab-log .kernellab-bugcheck")
    check.wait_for(timeout=60_000)
    assert "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED" in check.inner_text()
    lab.screenshot(f"magic-{theme}")
    assert lab.errors == []
