"""The panes in a real JupyterLab, driven with events as a target sends them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nbconvert import HTMLExporter

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator

    from tests.browser.jupyter import Lab

SETUP = r"""
import threading, time
from IPython.display import display
from kernellab.pane.show import new_pane, show
from kernellab.protocol import BugcheckEvent, DbgPrint, Dropped, Frame, State, Violation

def prints(*lines, start=0):
    return [DbgPrint(seq=i, driver="hello", text=t + "\n", time=0.000012 * (start + i + 1),
                     level=0, component=77) for i, t in enumerate(lines)]
"""

HELLO = r"""
def unload():
    pane.add(prints("Bye bye!", start=2) + [State(driver="hello", state="unloaded")])
    pane.set_state("unloaded")

pane = new_pane("hello", on_unload=unload, on_reload=lambda: 1 / 0)
show(pane, display)
pane.set_progress(2, 4, "compiling hello")
pane.set_state("loading")
pane.add(prints("Hello, world!", "I am a driver."))
pane.set_timings(build=0.31, load=0.004, first_line=0.006)
pane.set_state("running")
pane.finish()
"""

TROUBLE = r'''
SOURCE = """%%rustdriver boom
use windows_kernel_rs::{kernel_module, println, Driver, Error, KernelModule};

impl KernelModule for Module {
    fn init(_: Driver, _: &str) -> Result<Self, Error> {
        let nowhere = core::ptr::null::<u32>();
        println!("{}", unsafe { nowhere.read_volatile() });
        Ok(Module)
    }
}
"""
FRAMES = (
    Frame(address="0xfffff80000411036", module="boom.sys", rva=0x1036, inlined=True,
          function="core::ptr::read_volatile<u32>", file="core/src/ptr/mod.rs", line=2029),
    Frame(address="0xfffff80000411036", module="boom.sys", rva=0x1036,
          function="<boom::Module as KernelModule>::init", file="cell", line=7),
    Frame(address="0xfffff80000411210", module="boom.sys", rva=0x1210, function="DriverEntry",
          file="windows-kernel-rs/src/module.rs", line=88),
    Frame(address="0xfffff800000012f0", module="ntoskrnl.exe", rva=0x12F0),
)
class Message:
    def __init__(self, level, text):
        self.level, self.text, self.html, self.line = level, text, "", 0

pane = new_pane("boom", on_unload=lambda: None, on_reload=lambda: None, source=SOURCE)
show(pane, display)
pane.set_state("loading")
pane.set_diagnostics([Message("warning", "warning: unused variable: `x`\n --> cell:6:13")])
pane.add(prints("about to read") + [
    DbgPrint(driver="boom", text="low on memory\n", time=0.0001, level=1, component=101),
    DbgPrint(driver="boom", text="a trace\n", time=0.0001, level=2, component=101),
    Dropped(driver="boom", count=12),
    Violation(driver="boom", rule="pool-overrun", frames=FRAMES[1:],
              message="4 bytes read past the end of a block of 16 bytes, tag 'Lab1'"),
    BugcheckEvent(driver="boom", code="0x7e", name="SYSTEM_THREAD_EXCEPTION_NOT_HANDLED",
        message="The driver read from address 0x0, which is not mapped, at PASSIVE_LEVEL.",
        parameters=("0xffffffffc0000005", "0xfffff80000411036", "0x0", "0x0"), frames=FRAMES,
        instruction="mov eax, dword ptr [rcx]",
        registers={r: f"0x{i:016x}" for i, r in enumerate(
            "rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip".split())}),
])
pane.set_state("bug check", "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED at cell:7")
pane.finish()
'''

HOSTILE = r"""
pane = new_pane("<b>evil</b>", source="")
show(pane, display)
pane.add(prints(
    "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x00 \x7f \x9b31m",
    "access \u202e level \u2066 // admin \u2069 zero\u200bwidth \ufeff",
    "lone \ud800 surrogate", "x" * 9000, "عربى mixed with latin", "e" + "\u0301" * 40))
pane.set_state("failed", "<i>why</i>")
pane.set_note("<u>note</u>")
pane.finish()
"""

MEGABYTE = r"""
pane = new_pane("long")
show(pane, display)
pane.add(prints("before", "y" + "z" * 1_000_000, "after"))
pane.set_state("running")
pane.finish()
"""

MANY = r"""
pane = new_pane("many")
show(pane, display)
pane.set_state("running")
burst = [DbgPrint(driver="hello", text=f"line {i:06d}: the quick brown fox jumps\n", time=i * 1e-6,
                  component=77) for i in range(100_000)]
time.sleep(1)
"""
BURST = "began = time.time(); pane.add(burst); print(began)"


def rows(lab: Lab) -> list[str]:
    return lab.page.locator(".kernellab-row .text").all_text_contents()


def pane(lab: Lab) -> Locator:
    return lab.page.locator(".kernellab-log")


def wait_for_row(lab: Lab, text: str) -> None:
    lab.page.locator(
        ".kernellab-row .text", has_text=re.compile(rf"^{re.escape(text)}$")
    ).wait_for()


def test_a_log_is_shown_and_goes_on_after_the_cell(lab: Lab) -> None:
    lab.open_notebook(SETUP, HELLO, 'pane.add(prints("later"))')
    lab.run_all_cells()
    wait_for_row(lab, "later")
    assert rows(lab) == ["Hello, world!", "I am a driver.", "later"]
    assert "build 0.31 s · load 4 ms · first line 6 ms" in pane(lab).inner_text()
    lab.screenshot("pane-hello-light")
    # The static form is in the document, for the file; the reader sees one pane.
    assert lab.page.locator("[data-kernellab-static]").count() == 1
    assert not lab.page.locator("[data-kernellab-static]").is_visible()
    assert lab.errors == []


def test_the_buttons_act(lab: Lab) -> None:
    lab.open_notebook(SETUP, HELLO)
    lab.run_all_cells()
    wait_for_row(lab, "I am a driver.")
    unload = lab.page.get_by_role("button", name="Unload")
    lab.page.wait_for_selector('.action[aria-disabled="false"]')
    unload.click()
    wait_for_row(lab, "Bye bye!")
    # The state comes with a message of its own, which may be later than the line.
    stopped = '.action[aria-disabled="true"][title="the driver is not running"]'
    lab.page.wait_for_selector(stopped)
    assert unload.get_attribute("aria-disabled") == "true"
    lab.page.get_by_role("button", name="Load", exact=True).click()
    lab.page.get_by_text("load failed: ZeroDivisionError: division by zero").wait_for()


def test_bug_check_violations_and_warnings(lab: Lab) -> None:
    for theme in ("light", "dark"):
        lab.open_notebook(SETUP, TROUBLE, theme=theme)
        lab.page.set_viewport_size({"width": 1100, "height": 1900})
        lab.run_all_cells()
        box = lab.page.locator(".kernellab-log .kernellab-bugcheck")
        box.wait_for()
        assert "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED" in box.inner_text()
        assert box.locator("pre strong").first.inner_text().startswith("→ 7 │")
        assert "12 dropped" in pane(lab).locator(".count").inner_text()
        assert not pane(lab).locator(".kernellab-warnings pre").is_visible(), "warnings are folded"
        levels = pane(lab).locator(".level").all_text_contents()
        assert levels[:3] == ["", "WARN", "TRACE"]
        lab.screenshot(f"pane-trouble-{theme}")
        lab.server.stop_kernels()


def test_hostile_text_stays_text(lab: Lab) -> None:
    lab.open_notebook(SETUP, HOSTILE, theme="dark")
    lab.run_all_cells()
    wait_for_row(lab, "lone ‹U+D800› surrogate")
    lab.screenshot("pane-hostile-dark")
    assert lab.page.title() != "owned"
    shown = rows(lab)
    assert shown[0].startswith("<script>document.title")
    assert shown[1] == "␛[31mred␛[0m ␛]0;title␇ ␀ ␡ ‹U+009B›31m"
    assert "‹U+202E›" in shown[2] and "\u202e" not in shown[2]
    assert pane(lab).locator("script, img, b, i, u").count() == 0
    assert [len(t) for t in shown[4:7]] == [4096, 4096, 808]


def test_a_line_of_a_megabyte(lab: Lab) -> None:
    """It is cut into rows that scroll sideways and wrap, and is one line where it is copied."""
    lab.open_notebook(SETUP, MEGABYTE)
    lab.run_all_cells()
    pane(lab).locator(".count", has_text="247 lines").wait_for()
    wait_for_row(lab, "after")
    port = pane(lab).locator(".kernellab-rows")
    port.evaluate("e => { e.scrollTop = 0; }")
    wait_for_row(lab, "before")
    wide = port.evaluate("e => [e.scrollWidth > e.clientWidth, e.scrollWidth < 200000]")
    assert wide == [True, True]
    port.evaluate("e => { e.scrollLeft = 5000; }")
    assert port.evaluate("e => e.scrollLeft") == 5000
    lab.screenshot("pane-megabyte")
    port.focus()
    lab.page.keyboard.press("w")
    lab.page.wait_for_function("e => e.scrollWidth <= e.clientWidth", arg=port.element_handle())
    lab.screenshot("pane-megabyte-wrapped")
    pane(lab).get_by_role("button", name="Copy", exact=True).click()
    lab.page.wait_for_function("navigator.clipboard.readText().then((t) => t.includes('after'))")
    copied = lab.page.evaluate("navigator.clipboard.readText()")
    assert "y" + "z" * 1_000_000 + "\n" in copied
    assert lab.errors == []
    saved = lab.save()
    data = saved.cells[1].outputs[0].data
    assert len(data["text/html"]) < 250_000 and len(data["text/plain"]) < 150_000
    assert "before" in data["text/plain"] and data["text/plain"].endswith("after")


def test_a_saved_notebook_shows_the_log_without_a_kernel(lab: Lab) -> None:
    lab.open_notebook(SETUP, HELLO)
    lab.run_all_cells()
    wait_for_row(lab, "I am a driver.")
    lab.page.wait_for_selector('.action[aria-disabled="false"]')
    lab.page.get_by_role("button", name="Unload").click()
    wait_for_row(lab, "hello unloaded")
    lab.page.wait_for_function(
        "document.querySelector('[data-kernellab-static]').textContent.includes('Bye bye!')"
    )
    saved = lab.save()
    data = saved.cells[1].outputs[0]["data"]
    assert data["text/plain"].splitlines() == [
        "hello: unloaded [build 0.31 s · load 4 ms · first line 6 ms]",
        "Hello, world!",
        "I am a driver.",
        "Bye bye!",
        "— hello unloaded",
    ]
    assert len(str(saved.cells[1].outputs)) < 10_000
    lab.server.stop_kernels()
    for trust in (True, False):
        lab.open_notebook(kernel=False, trust=trust)
        static = lab.page.locator(".kernellab-static")
        static.wait_for()
        lab.screenshot(f"pane-reopened-{'trusted' if trust else 'untrusted'}")
        text = lab.page.locator(".jp-OutputArea").last.inner_text()
        assert "Bye bye!" in text and "hello: unloaded" in text
        assert "widget" not in text, text
    body, _ = HTMLExporter().from_notebook_node(saved)
    assert "Bye bye!" in body
    lab.page.unroute_all()
    lab.page.set_content(
        body.split("<body", 1)[0].split("<script")[0] + "<body" + body.split("<body", 1)[1]
    )
    lab.screenshot("pane-nbconvert")
    # A kernel that never ran the cell knows no widget either.
    lab.open_notebook()
    lab.page.locator(".kernellab-static").wait_for()
    lab.page.wait_for_timeout(1500)
    text = lab.page.locator(".jp-OutputArea").last.inner_text()
    assert "Bye bye!" in text and "widget" not in text


def test_a_page_loaded_anew_gets_everything(lab: Lab) -> None:
    lab.open_notebook(SETUP, HELLO)
    lab.run_all_cells()
    wait_for_row(lab, "I am a driver.")
    lab.save()
    lab.open_notebook()
    wait_for_row(lab, "I am a driver.")
    lab.page.wait_for_selector('.action[aria-disabled="false"]')
    lab.page.get_by_role("button", name="Unload").click()
    wait_for_row(lab, "Bye bye!")
    assert rows(lab)[0] == "Hello, world!"


def test_lost_messages_are_asked_for_again(lab: Lab) -> None:
    lose = r"""
sent = []
real = pane._feed.widget.send
def lossy(content, buffers):
    sent.append(content["first"])
    if len(sent) != 2:
        real(content, buffers)
pane._feed.widget.send = lossy
for n in range(5):
    pane.add(prints(*(f"row {n}.{k}" for k in range(40)), start=n * 40))
    time.sleep(0.3)
"""
    lab.open_notebook(SETUP, HELLO, lose, "print(sent)")
    lab.run_all_cells()
    wait_for_row(lab, "row 4.39")
    pane(lab).locator(".count", has_text="202 lines").wait_for()
    pane(lab).get_by_label("Filter the log by text").fill("row 1.")
    wait_for_row(lab, "row 1.39")
    assert pane(lab).locator(".count").inner_text() == "40 of 202 lines"


def test_a_hundred_thousand_lines(lab: Lab) -> None:
    lab.open_notebook(SETUP, MANY, BURST)
    lab.page.evaluate(
        """() => { window.stalls = []; let last = performance.now();
            const tick = () => { const now = performance.now(); window.stalls.push(now - last);
              last = now; setTimeout(tick, 0); }; tick(); }"""
    )
    lab.page.evaluate(
        """() => { new MutationObserver(() => {
            const count = document.querySelector('.kernellab-log .count')?.textContent ?? '';
            if (!window.began && /^[1-9]/.test(count)) { window.began = 1; window.stalls = []; }
            if (!window.ended && count.startsWith('100,000')) window.ended = Date.now();
          }).observe(document.body, {subtree: true, childList: true, characterData: true}); }"""
    )
    lab.run_all_cells()
    wait_for_row(lab, "line 099999: the quick brown fox jumps")
    began = float(lab.page.locator(".jp-OutputArea-output pre").last.inner_text())
    took = lab.page.evaluate("window.ended") - began * 1000
    stall = lab.page.evaluate("Math.max(...window.stalls)")
    print(f"100,000 lines in {took:.0f} ms, longest stall {stall:.0f} ms")
    assert lab.page.locator(".kernellab-row").count() < 60
    port = pane(lab).locator(".kernellab-rows")
    follow = pane(lab).get_by_role("button", name="Follow")
    assert follow.inner_text() == "Following"
    port.hover()
    lab.page.mouse.wheel(0, -20000)
    pane(lab).get_by_text("▼ Follow").wait_for()
    lab.screenshot("pane-paused-light")
    follow.click()
    wait_for_row(lab, "line 099999: the quick brown fox jumps")
    port.press("Home")
    wait_for_row(lab, "line 000000: the quick brown fox jumps")
    port.press("/")
    lab.page.keyboard.type("LINE 0123")
    pane(lab).locator(".count", has_text="100 of 100,000 lines").wait_for()
    assert rows(lab)[0].startswith("line 0123")
    lab.page.get_by_role("button", name="Regular expression").click()
    lab.page.get_by_label("Filter the log by text").fill(r"line 0123\d5")
    pane(lab).locator(".count", has_text="10 of 100,000 lines").wait_for()
    lab.screenshot("pane-filtered-light")
    lab.page.get_by_role("button", name="Copy", exact=True).click()
    lab.page.get_by_role("button", name="Copied").wait_for()
    copied = lab.page.evaluate("navigator.clipboard.readText()")
    assert copied.splitlines() == [f"line 0123{n}5: the quick brown fox jumps" for n in range(10)]


def test_several_drivers_in_one_log(lab: Lab, hello: Path) -> None:
    load = f"""
import kernellab
target = kernellab.connect()
one, two = [target.load({str(hello)!r}, name=name) for name in ("one", "two")]
watched = kernellab.watch(one, two)
"""
    lab.open_notebook(load, "one.unload(); target.run(one); two.unload()", theme="dark")
    lab.run_all_cells()
    wait_for_row(lab, "two unloaded")
    drivers = pane(lab).locator(".cell.driver").all_text_contents()
    assert drivers[:2] == ["one", "two"] and set(drivers) == {"one", "two"}
    assert not pane(lab).get_by_role("button", name="Unload").is_visible(), "of which, nobody knows"
    pane(lab).get_by_role("button", name="Filters").click()
    pane(lab).get_by_role("checkbox", name="two").uncheck()
    lab.page.keyboard.press("Escape")
    pane(lab).get_by_role("button", name="Remove filter: driver: one").wait_for()
    lab.page.wait_for_function(
        "[...document.querySelectorAll('.cell.driver')].every((e) => e.textContent === 'one')"
    )
    lab.screenshot("pane-watch-dark")
    assert lab.errors == []
