"""The log pane in a real JupyterLab, driven with events as a target sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.browser.conftest import Lab

SETUP = """
import threading, time
from IPython.display import display
from kernellab.pane.show import new_pane, show
from kernellab.protocol import BugcheckEvent, DbgPrint, Dropped, Frame, State, Violation

def prints(*lines, start=0):
    return [DbgPrint(seq=i, driver="hello", text=t + "\\n", time=0.000012 * (start + i + 1),
                     level=0, component=77) for i, t in enumerate(lines)]
"""

HELLO = """
unloads = []
def unload():
    unloads.append(1)
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


def rows(lab: Lab) -> list[str]:
    return lab.page.locator(".kernellab-row .text").all_text_contents()


def test_a_log_is_shown_and_goes_on_after_the_cell(lab: Lab) -> None:
    lab.open_notebook(SETUP, HELLO)
    lab.run_all_cells()
    lab.page.wait_for_selector(".kernellab-row")
    assert rows(lab) == ["Hello, world!", "I am a driver."]
    lab.screenshot("pane-hello-light")
