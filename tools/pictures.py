"""Make the pictures of README.md again, from a real JupyterLab: ``docs/pictures/NAME-THEME.png``.

Needs what the browser tests need (``make test`` sets it up) and a Chromium.
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.jupyter import Lab, launch, serve  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
BIGGEST = 150_000  # bytes of one picture

_FRAME = """\
use windows_kernel_rs::prelude::*;

struct Module;

impl KernelModule for Module {
    fn init(_: Driver, _: &str) -> Result<Self> {
BODY
        Ok(Module)
    }

    fn cleanup(&mut self, _: Driver) {
        println!("bye");
    }
}

kernel_module!(Module);"""
HELLO = "%%rustdriver hello\n" + _FRAME.replace(
    "BODY",
    '        println!("hello from {}", "the kernel");\n'
    "        for n in 1..=3 {\n"
    '            println!("{n} squared is {}", n * n);\n'
    "        }",
)
NULL = "%%rustdriver null --allow-failure\n" + _FRAME.replace(
    "BODY",
    '        println!("about to read address 0");\n'
    "        let value = unsafe { core::ptr::null::<u32>().read_volatile() };\n"
    '        println!("found {value}");',
)
_PENDING = ROOT / "tests" / "target" / "sim" / "drivers" / "pending.rs"
TRACED = f"%%rustdriver pending --trace\n{_PENDING.read_text(encoding='utf-8')}"
USED = """\
with pending.target.open(r"\\\\.\\Pending") as device:
    for n in (2, 1, 3):
        device.ioctl(0x222000, n.to_bytes(4, "little"), 4)
    device.ioctl(0x22200C)"""


def main() -> int:
    """Write each picture in both themes; exit code 1 where one is too big."""
    PICTURES.mkdir(exist_ok=True)
    too_big = False
    with tempfile.TemporaryDirectory() as home, launch() as browser, serve(Path(home)) as server:
        for theme in ("light", "dark"):
            page = browser.new_page(viewport={"width": 900, "height": 1500})
            lab = Lab(server, page)
            lab.open_notebook("%load_ext kernellab", HELLO, NULL, TRACED, USED, theme=theme)
            lab.run_cell(0)
            # Each is taken before the next cells run: a bug check ends what is loaded.
            for name, last, shown in _SHOWN:
                for cell in range(last - (name == "timeline"), last + 1):
                    lab.run_cell(cell, timeout=240)
                size = _keep(shown(lab), PICTURES / f"{name}-{theme}.png")
                print(f"docs/pictures/{name}-{theme}.png: {size:,} bytes")
                too_big = too_big or size > BIGGEST
            page.close()
            server.stop_kernels()
    return int(too_big)


def _pane(lab: Lab, name: str) -> Locator:
    return lab.page.get_by_role("region", name=re.compile(f"^Driver {name}"))


def _cell(lab: Lab) -> Locator:
    _pane(lab, "hello").locator(".kernellab-row", has_text="3 squared is 9").wait_for()
    return lab.page.locator(".jp-CodeCell").nth(1)


def _bugcheck(lab: Lab) -> Locator:
    pane = _pane(lab, "null")
    pane.locator(".badge", has_text="bug check").wait_for()
    return pane


def _timeline(lab: Lab) -> Locator:
    pane = _pane(lab, "pending")
    pane.get_by_role("tab", name="Timeline").click()
    pane.locator(".timeline .count", has_text=re.compile(r"\d events?")).wait_for()
    lab.page.wait_for_timeout(500)  # a frame is drawn
    return pane


#: A picture's name, the last cell to run for it, and what is shown then.
_SHOWN: tuple[tuple[str, int, Callable[[Lab], Locator]], ...] = (
    ("cell", 1, _cell),
    ("bugcheck", 2, _bugcheck),
    ("timeline", 4, _timeline),
)


def _keep(shown: Locator, path: Path) -> int:
    """Write what is shown with a palette of its own; how many bytes that takes."""
    shown.scroll_into_view_if_needed()
    shown.page.mouse.move(2, 2)
    data = shown.screenshot(animations="disabled", caret="hide")
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    picture.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    return path.stat().st_size


if __name__ == "__main__":
    sys.exit(main())
