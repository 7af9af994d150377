"""Plug and Play and power: a function driver's device from AddDevice to its removal."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

import kernellab
from kernellab.driver import Driver
from kernellab.errors import Bugcheck, NtStatusError, UsageError
from kernellab.hardware import DeviceNode
from kernellab.sources import build_path

DRIVERS = Path(__file__).parents[1] / "drivers"
CLASS = "{12345678-1111-2222-0102-030405060708}"
#: What a start prints: START, the interface, QUERY_PNP_DEVICE_STATE, QUERY_DEVICE_RELATIONS.
STARTED = ["pnp 0x0 c00000bb", "started 0 0 40000000", "pnp 0x14 c00000bb", "pnp 0x7 c00000bb"]
REMOVED = ["pnp 0x1 c00000bb", "pnp 0x2 c00000bb"]


@pytest.fixture(scope="module")
def image() -> Path:
    return build_path(DRIVERS / "function.rs").sys


@pytest.fixture
def driver(image: Path) -> Iterator[Driver]:
    with kernellab.connect("sim") as machine:
        yield machine.load(image)


class Log:
    """What the driver has printed since the last look."""

    def __init__(self, driver: Driver) -> None:
        self.driver, self.seen = driver, 0

    def new(self) -> list[str]:
        lines = list(self.driver.log.lines)
        found, self.seen = lines[self.seen :], len(lines)
        return found


def ask(node: DeviceNode, code: int) -> int:
    with node.open() as device:
        answer = bytes(device.ioctl(0x22 << 16 | (0x800 + code) << 2, out_size=8))
    return int.from_bytes(answer, "little") & 0xFFFFFFFF


def rules(driver: Driver) -> list[str]:
    return [violation.rule for violation in driver.target.violations]


def test_a_device_is_added_started_and_removed(driver: Driver) -> None:
    """WDK: "Adding a PnP Device to a Running System", "Understanding When Remove IRPs Are Issued".

    PnP IRPs begin with STATUS_NOT_SUPPORTED.
    """
    log = Log(driver)
    node = driver.add_device("ROOT\\SAMPLE", memory=[(0x8000_0000, 0x1000)], interrupt=0x51)
    lines = log.new()
    assert lines[:2] == ["add true 0 0", "pnp 0x0 c00000bb"]
    assert lines[2] == "2 resources, the first is 3 at 0x80000000"
    assert lines[3:] == STARTED[1:]
    assert (node.instance, node.state, node.power_state) == ("ROOT\\SAMPLE\\0000", "started", "D0")
    assert node.interfaces == [f"\\??\\ROOT#SAMPLE#0000#{CLASS}"]
    other = driver.add_device("ROOT\\SAMPLE")
    assert other.instance == "ROOT\\SAMPLE\\0001"
    assert [n.instance for n in driver.target.devices] == [node.instance, other.instance]
    log.new()
    node.remove()
    assert log.new() == REMOVED
    assert (node.state, node.interfaces) == ("removed", [])
    with pytest.raises(UsageError):
        node.stop()
    driver.unload()
    assert log.new() == [*REMOVED, "unload"]
    assert rules(driver) == []


def test_a_device_is_stopped_and_started_again(driver: Driver) -> None:
    """WDK: "Stopping a Device to Rebalance Resources"."""
    node = driver.add_device()
    log = Log(driver)
    log.new()
    node.stop()
    assert log.new() == ["pnp 0x5 c00000bb", "pnp 0x4 c00000bb"]
    assert node.state == "stopped"
    node.start()
    assert log.new()[0] == "pnp 0x0 c00000bb"
    assert node.state == "started"


def test_a_failed_add_and_a_failed_start(driver: Driver) -> None:
    """WDK: "DRIVER_ADD_DEVICE callback function (wdm.h)", "IRP_MN_START_DEVICE"."""
    log = Log(driver)
    with pytest.raises(NtStatusError, match="AddDevice returned STATUS_UNSUCCESSFUL"):
        driver.add_device(description="refuse")
    assert log.new() == []
    with pytest.raises(NtStatusError, match="STATUS_DEVICE_CONFIGURATION_ERROR"):
        driver.add_device(description="fail")
    assert log.new() == ["add true 0 0", "pnp 0x0 c00000bb", "pnp 0x2 c00000bb"]
    assert driver.target.devices == []


def test_a_driver_may_refuse_the_removal(driver: Driver) -> None:
    """WDK: "IRP_MN_QUERY_REMOVE_DEVICE", "IRP_MN_CANCEL_REMOVE_DEVICE"."""
    node = driver.add_device(description="veto")
    log = Log(driver)
    log.new()
    with pytest.raises(NtStatusError, match="IRP_MN_QUERY_REMOVE_DEVICE"):
        node.remove()
    assert log.new() == ["pnp 0x1 c00000bb", "pnp 0x3 c00000bb"]
    assert node.state == "started"
    with pytest.raises(NtStatusError, match="IRP_MN_QUERY_STOP_DEVICE"):
        node.stop()
    with pytest.raises(NtStatusError, match="IRP_MN_QUERY_POWER"):
        node.power("S3")


def test_an_open_handle_keeps_a_device_until_it_is_pulled_out(driver: Driver) -> None:
    """WDK: "IRP_MN_SURPRISE_REMOVAL": IRP_MN_REMOVE_DEVICE follows the last close."""
    node = driver.add_device()
    log = Log(driver)
    handle = node.open()
    log.new()
    with pytest.raises(NtStatusError, match="handle"):
        node.remove()
    assert log.new() == ["pnp 0x1 c00000bb", "pnp 0x3 c00000bb"]
    node.surprise_remove()
    assert log.new() == ["pnp 0x17 c00000bb"]
    assert node.state == "surprise removed"
    handle.close()
    assert log.new() == ["pnp 0x2 c00000bb"]
    assert node.state == "removed"
    assert rules(driver) == []


def test_mistakes_of_function_drivers_are_reported(driver: Driver) -> None:
    """WDK: "Writing an AddDevice Routine", "Handling an IRP_MN_REMOVE_DEVICE Request"."""
    node = driver.add_device()  # one that makes none of them
    node.stop()
    node.start()
    node.remove()
    assert rules(driver) == []
    driver.add_device(description="initializing")
    assert rules(driver) == ["pnp-initializing"]
    driver.add_device(description="stay").remove()
    assert rules(driver)[1:] == ["pnp-not-detached"]
    driver.add_device(description="stubborn").stop()
    assert rules(driver)[2:] == ["pnp-irp-failed"]
    driver.add_device(description="forget").remove()
    assert rules(driver)[3:] == ["pnp-interface-enabled"]


def test_power_irps(driver: Driver) -> None:
    """WDK: "PoRequestPowerIrp", "PoCallDriver", "PoStartNextPowerIrp function".

    A system power IRP waits for the device power IRP that its driver requests.
    """
    node = driver.add_device()
    log = Log(driver)
    log.new()
    node.power("D3")
    assert log.new() == ["power 2 1 4"]
    assert node.power_state == "D3"
    node.power("D0")
    log.new()
    node.power("S3")
    assert log.new() == [
        *("power 3 0 4", "power 2 0 4", "power 2 1 4", "powered 2 D3 0"),
        "requested c00000f0 103",
    ]
    assert node.power_state == "D3"
    node.power("S0")
    assert node.power_state == "D0"
    with pytest.raises(NtStatusError, match="no power state"):
        node.power("D9")
    # PoSetPowerState gives back the state before: D0 from the first start.
    node.stop()
    log.new()
    node.start()
    assert "started 1 40000000 40000000" in log.new()


def test_interfaces_are_listed_and_have_aliases(driver: Driver) -> None:
    """WDK: "IoGetDeviceInterfaces", "IoGetDeviceInterfaceAlias function (wdm.h)"."""
    node = driver.add_device()
    assert ask(node, 6) == 0xC0000034
    assert list(driver.log.lines)[-1] == "0 true 0 0 true"
    node.remove()
    driver.unload()
    assert rules(driver) == []


@pytest.mark.seeds(any_order=True)
def test_interface_notifications(driver: Driver) -> None:
    """WDK: "IoRegisterPlugPlayNotification function (wdm.h)".

    Interfaces that are there are announced on request, others as they come and go.
    """
    node = driver.add_device()
    log = Log(driver)
    log.new()
    assert ask(node, 0) == 0
    length = len(node.interfaces[0])
    assert log.new() == [f"interface arrived=true true {length} 5"]
    other = driver.add_device()
    assert f"interface arrived=true true {length} 5" in log.new()
    other.remove()
    assert log.new()[-1] == f"interface arrived=false true {length} 5"
    assert ask(node, 1) == 0  # IoUnregisterPlugPlayNotificationEx
    driver.add_device()
    assert not any("interface" in line for line in log.new())


@pytest.mark.seeds(any_order=True)
def test_a_notification_left_registered_is_reported(driver: Driver) -> None:
    node = driver.add_device()
    ask(node, 0)
    driver.unload()
    assert rules(driver) == ["leak-callback"]


def test_target_device_notifications(driver: Driver) -> None:
    """WDK: "IoReportTargetDeviceChange", "IoReportTargetDeviceChangeAsynchronous function"."""
    node = driver.add_device()
    log = Log(driver)
    with node.open() as device:
        log.new()

        def control(code: int) -> int:
            raw = bytes(device.ioctl(0x22 << 16 | (0x800 + code) << 2, out_size=8))
            return int.from_bytes(raw, "little")

        assert control(2) == 0
        assert control(3) == 0
        assert log.new() == ["target e true", "custom 99"]
        assert control(4) == 0x103
        assert log.new() == ["target e true", "custom 99", "all were told, 6"]
        with pytest.raises(NtStatusError):
            node.remove()
        # GUID_TARGET_DEVICE_QUERY_REMOVE, then GUID_TARGET_DEVICE_REMOVE_CANCELLED.
        assert log.new() == [
            *("target cb3a4006 true", "pnp 0x1 c00000bb"),
            *("pnp 0x3 c00000bb", "target cb3a4007 true"),
        ]
        assert control(5) == 0  # IoUnregisterPlugPlayNotification
    node.remove()
    assert rules(driver) == []


def test_a_bus_reports_children(driver: Driver) -> None:
    """WDK: "IoInvalidateDeviceRelations function (wdm.h)", "IRP_MN_QUERY_ID"."""
    bus = driver.add_device(description="a bus")
    child = driver.target.devices[1]
    assert child.instance == "FUNC\\CHILD\\7"
    assert child.hardware_ids == ["FUNC\\CHILD1", "FUNC\\CHILD"]
    log = Log(driver)
    log.new()
    ask(bus, 7)  # the child is gone
    assert log.new() == ["pnp 0x7 c00000bb", "child 0x2"]
    assert child.state == "removed"
    ask(bus, 7)
    assert [n.instance for n in driver.target.devices] == [bus.instance, "FUNC\\CHILD\\7"]
    child = driver.target.devices[1]
    log.new()
    child.bind(driver)
    assert child.state == "started"
    assert log.new()[:3] == ["add true 0 0", "pnp 0x0 c00000bb", "child 0x0"]
    bus.remove()
    assert driver.target.devices == []
    assert rules(driver) == []


def test_a_device_that_failed_is_taken_away(driver: Driver) -> None:
    """WDK: "IoInvalidateDeviceState function (wdm.h)": PNP_DEVICE_FAILED removes the device."""
    node = driver.add_device()
    log = Log(driver)
    log.new()
    ask(node, 8)
    assert log.new() == ["pnp 0x14 c00000bb", "pnp 0x17 c00000bb", "pnp 0x2 c00000bb"]
    assert node.state == "removed"


def test_a_device_asks_to_be_ejected(driver: Driver) -> None:
    """WDK: "IoRequestDeviceEject function (ntddk.h)"; the open handle is closed by then or not."""
    node = driver.add_device()
    ask(node, 11)
    driver.target.sleep(0.001)
    assert node.state in ("started", "removed")
    if node.state == "started":  # it was refused while the handle was open
        node.remove()
    assert rules(driver) == []


def test_properties_of_devices(driver: Driver) -> None:
    """WDK: "IoGetDeviceProperty", "IoSetDevicePropertyData", "IoGetDevicePropertyData function"."""
    node = driver.add_device("ROOT\\SAMPLE")
    assert ask(node, 9) == 0
    assert ask(node, 10) == 0
    assert list(driver.log.lines)[-2:] == [
        "c0000034 0 c0000023 0 4 7 true",
        "c0000023 0 c0000034 R",
    ]


def test_a_property_of_what_is_no_pdo(driver: Driver) -> None:
    """WDK: "Bug Check 0xCA: PNP_DETECTED_FATAL_ERROR", parameter 1 is 2: an invalid PDO."""
    node = driver.add_device()
    with pytest.raises(Bugcheck) as caught:
        ask(node, 12)
    assert caught.value.name == "PNP_DETECTED_FATAL_ERROR"
    assert caught.value.parameters[0] == 2


def test_drivers_without_add_device(hello: Path) -> None:
    with kernellab.connect("sim") as target:
        other = target.load(hello)
        with pytest.raises(NtStatusError, match="has no AddDevice routine"):
            other.add_device()
        assert target.devices == []


def test_registry_keys_of_devices(driver: Driver) -> None:
    """WDK: "IoOpenDeviceRegistryKey", "IoOpenDeviceInterfaceRegistryKey function (wdm.h)"."""
    node = driver.add_device("ROOT\\SAMPLE")
    assert ask(node, 13) == 0
    assert list(driver.log.lines)[-4:] == ["0 0", "0 0", "0 0", "c0000034 c0000010"]
    assert rules(driver) == []


def test_dma_adapters(driver: Driver) -> None:
    """WDK: "IoGetDmaAdapter function (wdm.h)", "DMA_OPERATIONS structure (wdm.h)"."""
    node = driver.add_device()
    log = Log(driver)
    log.new()
    assert ask(node, 14) == 0
    lines = log.new()
    assert lines[0] == "3 true true"
    for at in (1, 3):  # the kernel's list, and one in the driver's own memory
        assert re.fullmatch(r"[12] pieces, offset 0x[0-9a-f]+, IRQL 2", lines[at])
        assert lines[at + 1] == "6000 bytes"
    assert lines[5:] == ["c0000023 true true 1 1", "true"]
    node.remove()
    driver.unload()
    assert rules(driver) == []


def test_wmi_blocks_and_events(driver: Driver) -> None:
    """WDK: "IoWMIRegistrationControl", "IoWMIWriteEvent function (wdm.h)", "IRP_MN_REGINFO_EX".

    A buffer that is too small is made larger, as its first field asks.
    """
    node, target = driver.add_device(), driver.target
    log = Log(driver)
    log.new()
    assert ask(node, 15) == 0
    assert log.new() == ["wmi 0xb", "wmi 0xb", "room 5000"]
    guid = CLASS.strip("{}")
    assert target.wmi_blocks == [{"guid": guid, "flags": 0, "instances": 2}]
    assert target.wmi_query(guid) == [b"\x11\0\0\0", b"\x22\0\0\0"]
    assert log.new() == ["wmi 0x0"]
    target.wmi_enable_events(guid)
    assert log.new() == ["wmi 0x4"]
    target.wmi_enable_events(guid, False)
    assert log.new() == ["wmi 0x5"]
    with pytest.raises(NtStatusError):
        target.wmi_query(str(uuid.UUID(int=5)))
    assert ask(node, 17) == 0xC0000001  # no event yet; then it is sent
    (event,) = target.wmi_events
    assert (event["guid"], event["driver"]) == (guid, "function")
    assert bytes.fromhex(event["data"]) == b"\xcd\xab\0\0"
    assert rules(driver) == []
    assert ask(node, 16) == 0
    assert ask(node, 16) == 0xC000000D
    assert target.wmi_blocks == []
    ask(node, 18)  # from paged pool
    assert rules(driver) == ["bad-argument"]
    node.remove()
    driver.unload()
    assert rules(driver) == ["bad-argument"]
