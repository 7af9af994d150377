"""The timeline in a real JupyterLab: a traced driver's run, looked at, searched, saved."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from tests.browser.jupyter import Lab

PENDING = Path(__file__).parents[1] / "target" / "sim" / "drivers" / "pending.rs"
LOAD = f"%%rustdriver pending --trace\n{PENDING.read_text(encoding='utf-8')}"
USE = r"""
with pending.target.open(r"\\.\Pending") as device:
    for n in (2, 1, 3):
        device.ioctl(0x222000, n.to_bytes(4, "little"), 4)
    device.ioctl(0x22200C)
"""


#: What is drawn, as a text that is equal where the picture is.
SEEN = """document.querySelector(".kernellab-log canvas").toDataURL()"""


def open_timeline(lab: Lab, *cells: str, theme: str = "light") -> Locator:
    """Run the cells after the extension's, and open the pane's tab."""
    lab.open_notebook("%load_ext kernellab", *cells, theme=theme)
    lab.run_all_cells()
    pane = lab.page.locator(".kernellab-log").first
    pane.locator('[role="tab"][data-tab="timeline"]').click()
    lab.page.wait_for_function(
        "/\\d events?/.test(document.querySelector('.kernellab-log .timeline .count')?.textContent)"
    )
    lab.page.wait_for_timeout(200)  # a frame is drawn
    return pane


def painted(pane: Locator) -> int:
    """How many different colours the canvas has: 1 for one with nothing on it."""
    return int(
        pane.locator("canvas").evaluate(
            """c => new Set(new Uint32Array(c.getContext("2d")
                .getImageData(0, 0, c.width, c.height).data.buffer)).size"""
        )
    )


def test_a_run_from_load_to_the_last_request(lab: Lab) -> None:
    pane = open_timeline(lab, LOAD, USE)
    page = lab.page
    assert painted(pane) > 20
    pane.scroll_into_view_if_needed()
    lab.screenshot("timeline-light")
    rows = pane.locator(".timeline table tr").all_text_contents()
    assert 5 < len(rows) <= 51
    assert any("NtDeviceIoControlFile" in row for row in rows)

    # What is searched for is counted, and Enter goes from one to the next.
    count, about = pane.locator(".timeline .count"), pane.locator(".timeline-about")
    pane.get_by_label("Find a name in the timeline").fill("iofcomplete")
    assert re.match(r"\d+ matches of \d+ events", count.inner_text())
    page.keyboard.press("Enter")
    assert "IofCompleteRequest" in about.inner_text()
    assert re.search(r"pending\.rs, line \d+|cell, line \d+", about.inner_text())
    page.wait_for_timeout(200)
    lab.screenshot("timeline-found")
    page.keyboard.press("Escape")
    assert "matches" not in count.inner_text()

    # The keyboard zooms and moves; 0 shows all again.
    canvas = pane.locator("canvas")
    canvas.focus()
    before = page.evaluate(SEEN)
    for key in ("+", "+", "ArrowRight"):
        page.keyboard.press(key)
    page.wait_for_timeout(100)
    assert page.evaluate(SEEN) != before
    page.keyboard.press("0")
    page.wait_for_timeout(100)
    assert page.evaluate(SEEN) == before

    # Click, and the cell's line is asked for.
    page.evaluate(
        """addEventListener("kernellab-reveal", (e) => { window.revealed = e.detail; })"""
    )
    box = canvas.bounding_box()
    assert box is not None
    tip = pane.locator(".timeline-tip")
    for y in range(30, int(box["height"]), 8):
        page.mouse.move(box["x"] + 170, box["y"] + y)
        if "click: go to the line" in (tip.text_content() or "") and tip.is_visible():
            break
    assert "click: go to the line" in tip.inner_text()
    page.wait_for_timeout(100)
    lab.screenshot("timeline-tip")
    page.mouse.down()
    page.mouse.up()
    revealed = page.evaluate("window.revealed")
    assert revealed["driver"] == "pending"
    assert revealed["line"] > 1

    # The file is what Perfetto opens.
    with page.expect_download() as waiting:
        pane.get_by_text("Save Perfetto JSON").click()
    saved = json.loads(Path(waiting.value.path()).read_text(encoding="utf-8"))
    assert waiting.value.suggested_filename == "pending-trace.json"
    assert {"X", "M", "C"} <= {event["ph"] for event in saved["traceEvents"]}
    assert lab.errors == []


def test_dark(lab: Lab) -> None:
    pane = open_timeline(lab, LOAD, USE, theme="dark")
    pane.scroll_into_view_if_needed()
    lab.screenshot("timeline-dark")
    assert painted(pane) > 20
    assert lab.errors == []


MANY = """%%rustdriver many --trace 200000
use windows_kernel_rs::{kernel_module, println, sys::*, Driver, Error, KernelModule};

struct Module;

impl KernelModule for Module {
    fn init(_: Driver, _: &str) -> Result<Self, Error> {
        for n in 0..60_000_u64 {
            unsafe {
                let old = KfRaiseIrql(if n % 7 == 0 { 2 } else { 1 });
                KeGetCurrentIrql();
                KeLowerIrql(old);
            }
            if n % 1000 == 0 {
                println!("n is {n}");
            }
        }
        Ok(Module)
    }

    fn cleanup(&mut self, _: Driver) {}
}

kernel_module!(Module);
"""


def test_two_hundred_thousand_events(lab: Lab) -> None:
    pane = open_timeline(lab, MANY)
    pane.scroll_into_view_if_needed()
    count = pane.locator(".timeline .count", has_text="200,0")
    count.wait_for()
    assert "older ones dropped" in count.inner_text()
    lab.screenshot("timeline-many")
    canvas = pane.locator("canvas")
    canvas.focus()
    frames = lab.page.evaluate(
        """async () => {
            const canvas = document.querySelector(".kernellab-log canvas");
            const press = (key) => canvas.dispatchEvent(
                new KeyboardEvent("keydown", { key, bubbles: true }));
            const frame = () => new Promise(requestAnimationFrame);
            const took = [];
            for (let n = 0; n < 40; n++) {
                press(n % 2 ? "+" : "ArrowRight");
                await frame();
                const start = performance.now();
                await frame();
                took.push(performance.now() - start);
            }
            return took;
        }"""
    )
    (lab.artefact("timeline-frames.json")).write_text(json.dumps(frames))
    lab.page.wait_for_timeout(100)
    lab.screenshot("timeline-many-near")
    assert painted(pane) > 20
    assert lab.errors == []


def test_the_saved_notebook_has_the_picture(lab: Lab) -> None:
    open_timeline(lab, LOAD, USE)
    saved = lab.save()
    htmls = [
        o["data"]["text/html"] for o in saved.cells[1].outputs if "text/html" in o.get("data", {})
    ]
    (html,) = [html for html in htmls if "data:image/svg+xml" in html]
    assert len(re.search(r"base64,([\w+/=]+)", html)[1]) < 14_000  # type: ignore[index]
    lab.server.stop_kernels()
    for theme in ("light", "dark"):
        lab.open_notebook(kernel=False, theme=theme)
        picture = lab.page.locator('img[src^="data:image/svg"]')
        picture.scroll_into_view_if_needed()
        assert picture.evaluate("image => image.complete && image.naturalWidth") > 300
        lab.page.wait_for_timeout(300)
        lab.screenshot(f"timeline-saved-{theme}")
