"""The pane's buttons while the kernel is busy, with JupyterLab's default settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.drivers import driver_source

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from tests.browser.jupyter import Lab

HELLO = "%%rustdriver hello\n" + driver_source('println!("loaded");')
LOOP = "%%rustdriver spins --allow-failure --timeout 600\n" + driver_source(
    'println!("spinning"); loop { core::hint::spin_loop(); }'
)
#: A cell that runs until a file is there.
WAIT = """import pathlib, time
print("waiting")
while not pathlib.Path("go").exists(): time.sleep(0.05)
print("went on")"""


def pane(lab: Lab, name: str) -> Locator:
    return lab.page.get_by_role("region", name=f"Driver {name}")


def printed(lab: Lab, text: str) -> Locator:
    """A Python cell's own output."""
    return lab.page.locator(".jp-OutputArea-output pre", has_text=text)


def open_and_run(lab: Lab, *cells: str) -> None:
    """Run the cells; the first two have ended and the last one has not."""
    (lab.server.folder / "go").unlink(missing_ok=True)
    lab.open_notebook("%load_ext kernellab", *cells)
    lab.run_all_cells(wait=False)
    pane(lab, "hello").get_by_text("loaded", exact=True).wait_for(timeout=120_000)


def test_unload_and_reload_while_a_cell_runs(lab: Lab) -> None:
    open_and_run(lab, HELLO, WAIT)
    printed(lab, "waiting").wait_for()
    hello = pane(lab, "hello")
    hello.get_by_role("button", name="Unload").click()
    hello.get_by_text("bye", exact=True).wait_for()
    hello.get_by_text("hello unloaded").wait_for()
    hello.get_by_role("button", name="Load", exact=True).click()
    hello.get_by_text("hello loaded again").wait_for()
    assert printed(lab, "went on").count() == 0, "the cell was not to end"
    (lab.server.folder / "go").touch()
    printed(lab, "went on").wait_for()
    lab.wait_for_idle()
    assert lab.errors == []


def test_a_press_waits_for_another_drivers_call_and_says_so(lab: Lab) -> None:
    open_and_run(lab, HELLO, LOOP)
    pane(lab, "spins").get_by_text("spinning").wait_for(timeout=120_000)
    hello = pane(lab, "hello")
    hello.get_by_role("button", name="Unload").click()
    hello.get_by_text("sim is busy with another call").wait_for()
    assert hello.get_attribute("aria-label") == "Driver hello: waiting"
    lab.screenshot("buttons-waiting")
    lab.menu("Kernel", "Interrupt Kernel")
    # The machine stops with the driver that looped; the press comes to its end by itself.
    hello.get_by_text("its machine has stopped (interrupted)").wait_for()
    spins = pane(lab, "spins")
    spins.get_by_text("You stopped it while this ran").wait_for()
    assert hello.get_by_text("You stopped it").count() == 0


def test_where_the_front_end_waits_the_pane_says_so(lab: Lab) -> None:
    # As other front ends do: every message goes to the main shell, behind the running cell.
    no_subshells = "get_ipython().kernel.comm_manager.comms[hello_pane]._reply_subshell_for = " + (
        "lambda data, default: None"
    )
    find = "hello_pane = list(get_ipython().kernel.comm_manager.comms)[-1]"
    open_and_run(lab, HELLO, f"{find}\n{no_subshells}\n{WAIT}")
    printed(lab, "waiting").wait_for()
    hello = pane(lab, "hello")
    hello.get_by_role("button", name="Unload").click()
    hello.get_by_text("this follows when the running cell has ended").wait_for()
    lab.screenshot("buttons-unheard")
    (lab.server.folder / "go").touch()
    hello.get_by_text("hello unloaded").wait_for()
    hello.get_by_text("this follows when").wait_for(state="detached")
