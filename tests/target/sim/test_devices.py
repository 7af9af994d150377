"""A driver's device seen from outside: open, read, write, control, close, and their errors."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from kernellab.driver import DeviceHandle
from kernellab.errors import Bugcheck, NtStatusError, UsageError
from kernellab.lab import Target

REVERSE, COMPLETE, PARAMETERS, DELETE, CREATE, LINK, UNLINK, FORGET, EMPTY = (
    0x22_0000 | function << 2 for function in range(0x800, 0x809)
)
MAIN = r"\\.\Devices"
EXCLUSIVE, READY = 1, 2
SIZES = [0, 1, 4095, 4096, 65536, 1 << 20]


def pattern(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def complete(device: DeviceHandle, status: int, information: int, out_size: int = 64) -> bytes:
    """Have a request completed so; the driver fills the whole output with 0xA5 before."""
    return device.ioctl(COMPLETE, struct.pack("<II", status, information), out_size)


def status_of(call: object, *arguments: object, **named: object) -> str:
    """The name of the NTSTATUS that a call fails with."""
    assert callable(call)
    with pytest.raises(NtStatusError) as info:
        call(*arguments, **named)
    return info.value.name


@pytest.mark.parametrize("size", SIZES)
def test_round_trips_of_any_size(target: Target, devices: Path, size: int) -> None:
    driver = target.load(devices)
    data = pattern(size)
    with target.open(MAIN) as device:
        assert device.write(data) == size
        assert device.read(size) == data
        assert device.read(size + 17) == data  # what Information says, not what was asked for
        assert device.read(size // 2) == data[: size // 2]
        assert device.ioctl(REVERSE, data, out_size=size) == data[::-1]
    driver.unload()
    assert driver.log.lines == ["create ", "cleanup", "close", "unload"]
    assert target.violations == []
    assert target.status()["pool"] == {}


def test_offsets_reach_the_driver(target: Target, devices: Path) -> None:
    target.load(devices)
    with target.open(MAIN) as device:
        assert device.write(b"0123456789") == 10
        assert device.read(4, offset=3) == b"3456"
        assert device.write(b"abc", offset=5) == 3
        assert device.read(100) == b"01234abc"
        assert device.read(1, offset=8) == b""
        assert status_of(device.read, 1, offset=9) == "STATUS_END_OF_FILE"
        assert status_of(device.read, 1, offset=1 << 40) == "STATUS_END_OF_FILE"


def test_what_a_control_request_holds(target: Target, devices: Path) -> None:
    """WDK: "Buffer Descriptions for I/O Control Codes": one system buffer for both, or none."""
    driver = target.load(devices)
    with target.open(MAIN) as device:
        for data, size in ((b"", 0), (b"abc", 0), (b"", 5), (b"abcdef", 2)):
            assert device.ioctl(PARAMETERS, data, out_size=size) == b""
    prefix = f"code {PARAMETERS:#x} in"
    assert [line.split(" user")[0] for line in driver.log.lines[1:-2]] == [
        f"{prefix} 0 out 0 buffer false mode 1",
        f"{prefix} 3 out 0 buffer true mode 1",
        f"{prefix} 0 out 5 buffer true mode 1",
        f"{prefix} 6 out 2 buffer true mode 1",
    ]


def test_information_is_how_much_comes_back(target: Target, devices: Path) -> None:
    target.load(devices)
    with target.open(MAIN) as device:
        for information in (0, 1, 63, 64):
            assert complete(device, 0, information) == b"\xa5" * information
        assert complete(device, 0, 4096, out_size=4096) == b"\xa5" * 4096
    assert target.violations == []


def test_information_beyond_the_buffer_is_reported(target: Target, devices: Path) -> None:
    """Windows would copy kernel memory to the caller; nothing beyond the buffer comes here."""
    target.load(devices)
    with target.open(MAIN) as device:
        assert complete(device, 0, 65) == b"\xa5" * 64
    (found,) = target.violations
    assert found.rule == "information-too-large"
    assert "65" in found.message and "64" in found.message


def test_warnings_bring_their_data(target: Target, devices: Path) -> None:
    """WDK: "Using Buffered I/O": STATUS_BUFFER_OVERFLOW is a warning, its data is copied."""
    target.load(devices)
    with target.open(MAIN) as device:
        assert complete(device, 0x8000_0005, 10) == b"\xa5" * 10
        assert complete(device, 0x4000_0000, 3) == b"\xa5" * 3  # STATUS_OBJECT_NAME_EXISTS


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (0xC000_000D, "STATUS_INVALID_PARAMETER"),
        (0xC000_0023, "STATUS_BUFFER_TOO_SMALL"),
        (0xC000_0022, "STATUS_ACCESS_DENIED"),
        (0xC000_0001, "STATUS_UNSUCCESSFUL"),
        (0xE000_1234, "0xe0001234"),
    ],
)
def test_error_statuses(target: Target, devices: Path, status: int, name: str) -> None:
    target.load(devices)
    with target.open(MAIN) as device:
        with pytest.raises(NtStatusError) as info:
            complete(device, status, 64)
        assert (info.value.status, info.value.name.lower()) == (status, name.lower())
        assert device.ioctl(EMPTY) == b""  # nothing is broken by it


def test_unknown_control_code_and_too_small_a_buffer(target: Target, devices: Path) -> None:
    target.load(devices)
    with target.open(MAIN) as device:
        assert status_of(device.ioctl, 0x22_3FFC) == "STATUS_INVALID_DEVICE_REQUEST"
        assert status_of(device.ioctl, REVERSE, b"abc", 2) == "STATUS_BUFFER_TOO_SMALL"
        for code in (-1, 1 << 32):
            with pytest.raises(UsageError):
                device.ioctl(code)
        with pytest.raises(UsageError):
            device.read(-1)
        assert device.ioctl(REVERSE, b"abc", 3) == b"cba"


def test_slots_that_a_driver_leaves_alone(target: Target, faults: Path) -> None:
    """WDK: "DRIVER_OBJECT structure (wdm.h)": they fail with STATUS_INVALID_DEVICE_REQUEST."""
    target.load(faults)
    with target.open(r"\\.\Faults") as device:
        assert status_of(device.read, 4) == "STATUS_INVALID_DEVICE_REQUEST"
        assert status_of(device.write, b"data") == "STATUS_INVALID_DEVICE_REQUEST"
    assert target.violations == []


def test_names_are_found_in_any_case(target: Target, devices: Path) -> None:
    """WDK: "Object Names": they are not case-sensitive."""
    target.load(devices)
    for path in (
        *(MAIN, r"\\.\dEVICES", r"\\?\devices", r"\??\DEVICES", r"\DosDevices\Devices"),
        *(r"\dosdevices\devices", r"\GLOBAL??\Devices", r"\Device\Devices", r"\DEVICE\DEVICES"),
    ):
        with target.open(path) as device:
            assert device.write(path.encode()) == len(path)


def test_the_rest_of_a_path_is_the_file_name(target: Target, devices: Path) -> None:
    """WDK: "FILE_OBJECT structure (wdm.h)": FileName as the caller wrote it."""
    driver = target.load(devices)
    for rest in ("", "\\", r"\Some\File.txt", "\\gr\u00fc\u00df \U0001f600"):
        target.open(rf"\\.\devices{rest}").close()
    created = [line for line in driver.log.lines if line.startswith("create")]
    assert created == ["create ", "create \\", r"create \Some\File.txt", "create \\grüß 😀"]


@pytest.mark.parametrize(
    "path", [r"\\.\Nothing", r"\\.\Device", r"\\.\DevicesX", r"\Device\Nothing", "Devices", "\\"]
)
def test_unknown_devices(target: Target, devices: Path, path: str) -> None:
    target.load(devices)
    assert status_of(target.open, path) == "STATUS_OBJECT_NAME_NOT_FOUND"


def test_a_create_that_fails_leaves_no_handle(target: Target, devices: Path) -> None:
    """No IRP_MJ_CLEANUP and IRP_MJ_CLOSE follow; warnings are failures of a create too.

    WDK: "IRP_MJ_CREATE"; NT_SUCCESS in "Using NTSTATUS Values".
    """
    driver = target.load(devices)
    assert status_of(target.open, MAIN + r"\C0000022") == "STATUS_ACCESS_DENIED"
    assert status_of(target.open, MAIN + r"\80000005") == "STATUS_BUFFER_OVERFLOW"
    assert driver.log.lines == [r"create \C0000022", r"create \80000005"]
    assert [device["handles"] for device in target.status()["devices"]] == [0]
    target.open(MAIN + r"\40000000").close()  # informational: a success
    driver.unload()
    assert target.violations == []


def test_several_handles(target: Target, devices: Path) -> None:
    driver = target.load(devices)
    handles = [target.open(MAIN) for _ in range(20)]
    assert target.status()["devices"][0]["handles"] == 20
    handles[3].write(b"shared")
    handles[3].close()
    handles[3].close()  # does nothing
    assert {handle.read(10) for i, handle in enumerate(handles) if i != 3} == {b"shared"}
    for handle in handles:
        handle.close()
    assert [driver.log.lines.count(word) for word in ("create ", "cleanup", "close")] == [20] * 3
    assert target.status()["devices"][0]["handles"] == 0
    driver.unload()


def test_exclusive_device(target: Target, devices: Path) -> None:
    """WDK: "Specifying Exclusive Access to Device Objects": one handle at a time."""
    target.load(devices)
    with target.open(MAIN) as main:
        main.ioctl(CREATE, bytes([EXCLUSIVE | READY]) + rb"\Device\Single")
    first = target.open(r"\Device\Single")
    assert status_of(target.open, r"\Device\Single") == "STATUS_ACCESS_DENIED"
    assert first.write(b"x") == 1
    first.close()
    target.open(r"\Device\single").close()


def test_device_that_is_still_initializing(target: Target, devices: Path) -> None:
    """Made after DriverEntry, DO_DEVICE_INITIALIZING is the driver's to clear.

    WDK: "Creating a Device Object".
    """
    target.load(devices)
    with target.open(MAIN) as main:
        main.ioctl(CREATE, bytes([0]) + rb"\Device\Late")
        assert status_of(target.open, r"\Device\Late") == "STATUS_NO_SUCH_DEVICE"


def test_names_that_are_taken_or_wrong(target: Target, devices: Path) -> None:
    """WDK: "IoCreateDevice function (wdm.h)", "IoCreateSymbolicLink function (wdm.h)"."""
    driver = target.load(devices)
    with target.open(MAIN) as main:
        taken, wrong = "STATUS_OBJECT_NAME_COLLISION", "STATUS_OBJECT_PATH_SYNTAX_BAD"
        gone = "STATUS_OBJECT_NAME_NOT_FOUND"
        assert status_of(main.ioctl, CREATE, b"\x02" + rb"\device\DEVICES") == taken
        assert status_of(main.ioctl, CREATE, b"\x02Name") == wrong
        main.ioctl(CREATE, b"\x02")  # a device needs no name
        main.ioctl(CREATE, b"\x02")
        assert status_of(main.ioctl, LINK, rb"\??\DEVICES=\Device\Devices") == taken
        assert status_of(main.ioctl, LINK, rb"Name=\Device\Devices") == wrong
        assert status_of(main.ioctl, UNLINK, rb"\??\Other") == gone
        # A link to nothing can be made; it leads nowhere until something is there.
        main.ioctl(LINK, rb"\??\Other=\Device\Later")
        assert status_of(target.open, r"\\.\other") == gone
        main.ioctl(CREATE, b"\x02" + rb"\Device\Later")
        target.open(r"\\.\other").close()
        main.ioctl(UNLINK, rb"\??\OTHER")
        assert status_of(target.open, r"\\.\other") == gone
    driver.unload()
    assert target.violations == []
    assert target.status()["devices"] == []


def test_links_to_links(target: Target, devices: Path) -> None:
    target.load(devices)
    with target.open(MAIN) as main:
        main.ioctl(LINK, rb"\??\First=\??\Second")
        main.ioctl(LINK, rb"\??\Second=\Device\Devices")
        main.ioctl(LINK, rb"\??\Round=\??\Round")
    target.open(r"\\.\first\rest").close()
    assert target.drivers["devices"].log.lines[-3] == r"create \rest"
    with pytest.raises(NtStatusError):
        target.open(r"\\.\Round")


def test_deleting_a_device_with_open_handles(target: Target, devices: Path) -> None:
    """WDK: "IoDeleteDevice function (wdm.h)": it goes when the last reference has gone."""
    driver = target.load(devices)
    first, second = target.open(MAIN), target.open(MAIN)
    first.ioctl(DELETE)
    assert status_of(target.open, MAIN) == "STATUS_OBJECT_NAME_NOT_FOUND"
    assert status_of(target.open, r"\Device\Devices") == "STATUS_OBJECT_NAME_NOT_FOUND"
    first.close()
    assert second.write(b"still here") == 10
    assert second.read(20) == b"still here"
    assert second.write(b"") == 0
    second.close()
    assert [driver.log.lines.count(word) for word in ("create ", "cleanup", "close")] == [2] * 3
    assert target.status()["devices"] == []


def test_unload_with_open_handles_is_pending(target: Target, devices: Path) -> None:
    """WDK: "ZwUnloadDriver function (wdm.h)": DriverUnload runs when the last handle is closed.

    Until then open handles work, nothing opens the device, and the driver cannot be loaded again.
    """
    driver = target.load(devices)
    device, other = target.open(MAIN), target.open(MAIN)
    driver.unload()
    assert (driver.state, driver.running, driver.loaded) == ("unload pending", False, True)
    assert (
        driver.error == f"DriverUnload runs when the last handle to its devices ({MAIN}) is closed"
    )
    driver.unload()  # does nothing
    assert device.write(b"on") == 2
    assert status_of(target.open, MAIN) == "STATUS_NO_SUCH_DEVICE"
    for load in (lambda: target.load(devices), driver.reload):
        with pytest.raises(UsageError, match="DriverUnload runs when"):
            load()
    device.close()
    assert driver.state == "unload pending" and "unload" not in driver.log.lines
    other.close()
    assert driver.log.lines[-2:] == ["close", "unload"]
    assert (driver.state, driver.error) == ("unloaded", "")
    assert target.violations == []
    assert status_of(target.open, MAIN) == "STATUS_OBJECT_NAME_NOT_FOUND"
    driver.reload()
    assert driver.running


def test_unload_can_close_the_handles_first(target: Target, devices: Path) -> None:
    """``close_handles``, at once or for an unload that is pending already."""
    driver = target.load(devices)
    device, other = target.open(MAIN), target.open(MAIN)
    driver.unload(close_handles=True)
    assert driver.state == "unloaded"
    assert driver.log.lines[-5:] == ["cleanup", "close", "cleanup", "close", "unload"]
    with pytest.raises(NtStatusError, match="was closed: devices was unloaded; open") as info:
        device.write(b"off")
    assert info.value.name == "STATUS_INVALID_HANDLE"
    device.close()
    other.close()
    driver.reload()
    device = target.open(MAIN)
    driver.unload()
    driver.unload(close_handles=True)
    assert driver.state == "unloaded" and target.violations == []


@pytest.mark.parametrize("budget", [None, 10_000_000])
def test_a_fault_after_counted_code_is_gone(
    target: Target, devices: Path, faults: Path, budget: int | None
) -> None:
    """The engine looks for code that it counted in, which must not count as a fault before."""
    driver = target.load(devices, budget=budget)
    device = target.open(MAIN)
    driver.unload()
    device.close()
    assert driver.state == "unloaded"
    for name in ("first", "second"):
        target.load(devices, name=name, budget=budget).unload()
    with pytest.raises(Bugcheck) as info:
        target.load(faults, name="entry_null_read")
    assert (info.value.code, info.value.parameters[0]) == (0x7E, 0xC0000005)


def test_a_pending_unload_in_a_snapshot(target: Target, devices: Path) -> None:
    driver = target.load(devices)
    device = target.open(MAIN)
    driver.unload()
    kept = target.snapshot()
    device.close()
    assert driver.state == "unloaded"
    kept.restore()
    assert driver.state == "unload pending"
    driver.unload(close_handles=True)
    assert driver.state == "unloaded"


def test_request_that_is_never_completed(target: Target, devices: Path) -> None:
    driver = target.load(devices)
    with target.open(MAIN) as device:
        assert status_of(device.ioctl, FORGET) == "STATUS_UNSUCCESSFUL"
        (found,) = target.violations
        assert (found.rule, found.driver) == ("irp-not-completed", "devices")
        assert device.ioctl(REVERSE, b"ab", 2) == b"ba"
    driver.unload()


def test_link_that_is_left_behind(target: Target, devices: Path) -> None:
    driver = target.load(devices)
    with target.open(MAIN) as main:
        main.ioctl(LINK, rb"\??\Left=\Device\Devices")
    driver.unload()
    (found,) = target.violations
    assert found.rule == "leak-symlink"
    assert r"\??\Left" in found.message
    assert target.status()["symbolic_links"] == {}
    driver.reload()
    with target.open(MAIN) as device:
        assert device.write(b"again") == 5


def test_two_drivers_do_not_meet(target: Target, devices: Path, faults: Path) -> None:
    first, second = target.load(devices), target.load(faults)
    assert status_of(target.load, devices, name="third") == "STATUS_OBJECT_NAME_COLLISION"
    with target.open(MAIN) as one, target.open(r"\\.\Faults") as two:
        one.write(b"one")
        two.ioctl(0x222000, b"nothing")
        assert one.read(3) == b"one"
    assert second.log.lines == ["nothing to do"]
    second.unload()
    with target.open(MAIN) as one:
        assert one.read(3) == b"one"
    first.unload()
    assert target.violations == []
    assert target.status()["drivers"] == []


def test_more_than_a_request_can_hold(target: Target, devices: Path) -> None:
    """It is refused here; the target does not notice."""
    target.load(devices)
    with target.open(MAIN) as device:
        with pytest.raises(UsageError, match="more than"):
            device.write(bytes(7 << 20))
        with pytest.raises(UsageError):
            device.read(5 << 20)
        assert device.write(b"on") == 2
