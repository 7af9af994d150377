"""Each way a cell can end, as a person sees it: live in both themes, saved, and exported.

The pictures are kept in ``tests/artefacts``: look at them when a pane changes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from nbconvert import HTMLExporter

from tests.drivers import driver_source

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from tests.browser.jupyter import Lab

LEAK = "core::mem::forget(core::hint::black_box(alloc::vec![1u8; 40]));"

#: What each cell's ``init`` does, by the driver's name; and what its pane must say of it.
CELLS = {
    "hello": ('println!("hello from {}", "the kernel");', "hello from the kernel"),
    "null": (
        'println!("about to read");\n'
        "        let _v = unsafe { core::ptr::null::<u32>().read_volatile() };",
        "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED",
    ),
    "typo": ('printnl!("hello");', "cannot find macro"),
    "warned": ('let count = 3; println!("loaded all the same");', "1 warning"),
    "leaky": (LEAK, "The verifier found a mistake"),
    "refuses": ("return Err(Error::INSUFFICIENT_RESOURCES);", "STATUS_INSUFFICIENT_RESOURCES"),
    "spins": ('println!("once");\n        loop { core::hint::spin_loop(); }', "timed out"),
    "panics": ('panic!("the lab is closed");', "the lab is closed"),
}


def cell(name: str) -> str:
    body, _ = CELLS[name]
    options = " --budget 2000000" if name == "spins" else ""
    prelude = "extern crate alloc;\n" if "alloc::" in body else ""
    source = driver_source(body, extra=prelude)
    return f"%%rustdriver {name} --allow-failure{options}\n{source}"


def notebook_cells() -> list[str]:
    """Every case; the first and the leaking one are unloaded as well."""
    cells = ["%load_ext kernellab"]
    for name in CELLS:
        cells.append(cell(name))
        if name in ("hello", "leaky"):
            cells.append(f"{name}.unload()")
    return cells


def output_of(lab: Lab, name: str) -> Locator:
    """The outputs of the cell that made the driver ``name``."""
    return lab.page.locator(".jp-CodeCell", has_text=f"%%rustdriver {name} ").locator(
        ".jp-OutputArea"
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_outcome(lab: Lab, theme: str) -> None:
    lab.open_notebook(*notebook_cells(), theme=theme)
    lab.page.set_viewport_size({"width": 1100, "height": 1400})
    lab.run_all_cells(timeout=240)
    for name, (_, says) in CELLS.items():
        output = output_of(lab, name)
        output.locator(".kernellab-log").get_by_text(says).first.wait_for()
        output.screenshot(path=lab.artefact(f"outcome-{name}-{theme}.png"))
    assert lab.errors == []
    if theme == "dark":
        return
    # The same, kept in the file.
    leaky = output_of(lab, "leaky").locator("[data-kernellab-static]")
    lab.page.wait_for_function(
        "e => e.textContent.includes('leaky: unloaded')", arg=leaky.element_handle()
    )
    saved = lab.save()
    lab.server.stop_kernels()
    for trust in (True, False):
        lab.open_notebook(kernel=False, trust=trust)
        lab.page.set_viewport_size({"width": 1100, "height": 1400})
        for name, (_, says) in CELLS.items():
            output = output_of(lab, name)
            output.get_by_text(says).first.wait_for(state="attached")
            kind = "trusted" if trust else "untrusted"
            output.screenshot(path=lab.artefact(f"outcome-{name}-{kind}.png"))
            assert "widget" not in output.inner_text()
    body, _ = HTMLExporter().from_notebook_node(saved)
    lab.page.unroute_all()
    lab.page.set_content(re.sub(r"(?s)<script.*?</script>", "", body))
    for name, (_, says) in CELLS.items():
        assert says in body, name
    lab.page.screenshot(path=lab.artefact("outcome-nbconvert.png"), full_page=True)
