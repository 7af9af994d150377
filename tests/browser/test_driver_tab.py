"""The Driver view in a real JupyterLab, with real drivers: what it shows, what its buttons do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.drivers import driver_source

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from tests.browser.jupyter import Lab

DRIVERS = Path(__file__).parents[1] / "target" / "sim" / "drivers"
REVERSE = "0x222000"


def cell(name: str) -> str:
    source = (DRIVERS / f"{name}.rs").read_text(encoding="utf-8")
    return f"%%rustdriver {name} --allow-failure\n{source}"


def open_view(
    lab: Lab, *cells: str, name: str = "devices", theme: str = "light", wait: bool = True
) -> Locator:
    """Run the cells and open the Driver tab of the first driver's pane."""
    lab.page.set_viewport_size({"width": 1000, "height": 1700})
    lab.open_notebook("%load_ext kernellab", *cells, theme=theme)
    lab.run_all_cells(wait=wait, timeout=240)
    pane = lab.page.get_by_role("region", name=f"Driver {name}")
    pane.get_by_role("tab", name="Driver").click(timeout=240_000)
    view = pane.locator(".driver-view")
    view.get_by_text("SHA-256").wait_for()
    return view


def section(view: Locator, title: str) -> Locator:
    return view.locator("details", has=view.page.locator(f"summary:has-text('{title}')"))


def open_device(view: Locator) -> None:
    view.get_by_role("button", name="Open device").click()
    view.locator(".said", has_text=": handle ").wait_for()
    view.get_by_label("Handle", exact=True).locator("option", has_text="\\\\.\\").wait_for(
        state="attached"
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_open_send_and_look(lab: Lab, theme: str) -> None:
    view = open_view(lab, cell("devices"), theme=theme)
    assert view.get_by_role("button", name="Send").get_attribute("aria-disabled") == "true"
    open_device(view)
    view.get_by_label("Input, hex").fill("64 65 66 0x67 00 ff")
    assert view.get_by_label("as text").input_value() == "defg\\x00\\xff"
    assert view.locator(".hex-editor .hex-state").inner_text() == "6 bytes"
    view.get_by_label("Control code", exact=True).fill(REVERSE)
    view.get_by_role("button", name="Send").click()
    view.get_by_text("control code 0x222000: 6 bytes of output").wait_for()
    assert "ff 00 67 66 65 64" in view.get_by_label("Output, hex").inner_text()
    handles = section(view, "Open handles")
    handles.locator("summary").click()
    handles.get_by_text("notebook.exe").wait_for()
    irps = section(view, "IRPs")
    irps.locator("summary").click()
    irps.get_by_text("IRP_MJ_DEVICE_CONTROL").first.wait_for()
    view.get_by_text("Take a snapshot").scroll_into_view_if_needed()
    section(view, "Snapshots").locator("summary").click()
    view.get_by_role("button", name="Take a snapshot").click()
    view.get_by_role("button", name="Restore before").wait_for()
    view.locator(".pool-chart").wait_for()
    assert lab.errors == []
    view.screenshot(path=str(lab.artefact(f"driver-tab-{theme}.png")))


def test_a_bug_check_in_a_control_code(lab: Lab) -> None:
    view = open_view(lab, cell("faults"), name="faults")
    open_device(view)
    text = view.get_by_label("as text")
    text.fill("null_read")
    assert view.get_by_label("Input, hex").input_value() == "6e 75 6c 6c 5f 72 65 61 64"
    view.get_by_role("button", name="Send").click()
    view.get_by_role("alert").get_by_text("SYSTEM_SERVICE_EXCEPTION").wait_for()
    pane = lab.page.get_by_role("region", name="Driver faults")
    pane.locator(".panels").get_by_text("SYSTEM_SERVICE_EXCEPTION").first.wait_for()
    send = view.get_by_role("button", name="Send")
    view.locator("button[aria-disabled=true][title*='machine has stopped']").first.wait_for()
    assert "Reload starts it again" in (send.get_attribute("title") or "")
    lab.screenshot("driver-tab-bug-check")
    pane.get_by_role("button", name="Reload").click()
    view.locator("button[aria-disabled=false]", has_text="Open device").wait_for()
    view.get_by_role("alert").wait_for(state="detached")
    pane.get_by_role("button", name="Unload").click()
    view.locator("button[title='the driver is not loaded: Load loads it']").first.wait_for()
    load = pane.get_by_role("button", name="Load", exact=True)
    assert load.get_attribute("title") == "Load the driver"
    lab.screenshot("driver-tab-unloaded")
    load.click()
    view.locator("button[aria-disabled=false]", has_text="Open device").wait_for()
    pane.get_by_role("button", name="Reload").wait_for()
    assert lab.errors == []


def test_bad_input_is_said_where_it_is_typed(lab: Lab) -> None:
    view = open_view(lab, cell("devices"))
    open_device(view)
    field = view.get_by_label("Input, hex")
    state = view.locator(".hex-editor .hex-state")
    for wrong, said in (("12 3", "a digit is missing"), ("zz", "“z” is no hexadecimal digit")):
        field.fill(wrong)
        assert said in state.inner_text()
        assert field.get_attribute("aria-invalid") == "true"
        view.get_by_role("button", name="Send").click()
        view.get_by_role("alert").get_by_text("the input is not right").wait_for()
    assert state.locator("mark").inner_text() == "z"
    field.evaluate(
        "field => { field.value = 'ab'.repeat(1048577); field.dispatchEvent(new Event('input')); }"
    )
    assert "1,048,577 bytes are more than 1,048,576" in state.inner_text()
    field.fill("")
    assert state.inner_text() == "0 bytes"
    code = view.get_by_label("Control code", exact=True)
    code.fill("0x1ffffffff")
    assert code.get_attribute("aria-invalid") == "true"
    view.get_by_role("button", name="Send").click()
    view.get_by_role("alert").get_by_text("the control code is not a number").wait_for()
    view.get_by_text("CTL_CODE parts").click()
    view.get_by_label("function").fill("0x803")
    assert code.input_value() == "0x22200c"
    view.get_by_label("Device", exact=True).select_option("")
    view.get_by_label("Device name").fill("\\\\.\\Nobody")
    view.get_by_role("button", name="Open device").click()
    view.get_by_role("alert").get_by_text("there is no device").wait_for()
    assert lab.errors == []


def test_a_press_waits_for_another_drivers_call_and_says_so(lab: Lab) -> None:
    loop = "%%rustdriver spins --allow-failure --timeout 600\n" + driver_source(
        'println!("spinning"); loop { core::hint::spin_loop(); }'
    )
    view = open_view(lab, cell("devices"), loop, wait=False)
    spins = lab.page.get_by_role("region", name="Driver spins")
    spins.get_by_text("spinning").wait_for(timeout=120_000)
    view.get_by_text("another call is under way").wait_for()
    lab.screenshot("driver-tab-waiting")
    view.get_by_label("Device name").fill(r"\\.\Devices")
    view.get_by_role("button", name="Open device").click()
    view.get_by_text("sim is busy with another call").wait_for()
    lab.menu("Kernel", "Interrupt Kernel")
    view.locator("button[aria-disabled=true][title*='machine has stopped']").first.wait_for()
    lab.wait_for_idle()
    assert lab.errors == []


def test_a_driver_as_a_cells_last_line_and_the_saved_pane(lab: Lab) -> None:
    view = open_view(lab, cell("devices"), "devices")
    table = lab.page.locator(".jp-OutputArea-output", has_text="Image base").last
    table.get_by_text("\\Device\\Devices").first.wait_for()
    table.screenshot(path=str(lab.artefact("driver-static.png")))
    hidden = section(view, "Imports").locator("summary")
    hidden.press("Enter")  # by keyboard
    view.get_by_text("IofCompleteRequest").wait_for()
    cells = lab.save().cells
    assert "35,840 bytes" in cells[1].outputs[0]["data"]["text/html"]
