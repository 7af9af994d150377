"""Requests that a driver keeps: waiting for them, asynchronous ones, cancelling."""

from __future__ import annotations

from pathlib import Path

import pytest

import kernellab
from kernellab.errors import Bugcheck, NtStatusError, StillPending, TargetStopped
from kernellab.lab import Target
from kernellab.sources import build_path

from .conftest import DRIVERS
from .test_devices import status_of

CODES = [0x22_0000 | function << 2 for function in range(0x800, 0x80E)]
LATER, FOREVER, CANCELABLE, THREAD, TWICE, TOUCH, RELEASE, CONTEXT = CODES[:8]
HELD, BLOCK, UNBLOCK, SYNCHRONOUS, WHO, PERIODIC = CODES[8:]
NAME = r"\\.\Pending"


@pytest.fixture(scope="session")
def pending() -> Path:
    return build_path(DRIVERS / "pending.rs").sys


def test_a_call_waits_for_a_dpc(target: Target, pending: Path) -> None:
    """WDK: "IoMarkIrpPending function (wdm.h)"; virtual time passes while the client waits."""
    driver = target.load(pending)
    with target.open(NAME) as device:
        before = target.status()["time"]
        assert device.ioctl(LATER, (3_600_000).to_bytes(4, "little"), 4) == b"ZZZZ"
        assert target.status()["time"] - before == pytest.approx(3600, abs=0.1)
    assert "dpc at 2" in driver.log.lines
    driver.unload()
    assert target.violations == []


def test_a_call_waits_for_a_thread(target: Target, pending: Path) -> None:
    """WDK: "IofCompleteRequest function (wdm.h)": in an arbitrary thread context."""
    driver = target.load(pending)
    with target.open(NAME) as device:
        assert device.ioctl(THREAD) == b""
    assert driver.log.lines == ["thread", "cleanup 1", "close 1"]


def test_a_call_that_nothing_completes_is_cancelled(target: Target, pending: Path) -> None:
    """Its cancel routine is called, the call fails, the machine goes on."""
    driver = target.load(pending)
    with target.open(NAME) as device:
        with pytest.raises(NtStatusError, match="nothing is left to run that could") as info:
            device.ioctl(CANCELABLE)
        assert info.value.name == "STATUS_CANCELLED"
        assert driver.log.lines == ["cancel routine at 2"]
        assert device.ioctl(CONTEXT, out_size=8)[0] == 1
    driver.unload()
    assert target.violations == []


def test_a_call_beside_a_timer_that_rings_for_ever(target: Target, pending: Path) -> None:
    """It is given up after so many alarms, the same in each run, and not by the wall clock."""
    driver = target.load(pending)
    times = []
    with target.open(NAME) as device:
        device.ioctl(PERIODIC)
        for _ in range(2):
            before = target.status()["time"]
            with pytest.raises(NtStatusError, match="timers rang 5,000 times without") as info:
                device.ioctl(CANCELABLE, timeout=1)
            assert info.value.name == "STATUS_CANCELLED"
            times.append(target.status()["time"] - before)
        request = device.ioctl_async(CANCELABLE)
        with pytest.raises(StillPending, match="timers rang 5,000 times without"):
            request.result(timeout=1)
        assert request.cancel()
    assert times == pytest.approx([5.0, 5.0], abs=0.01)
    assert not target.stopped
    driver.unload()
    assert target.violations == []


def test_a_call_that_cannot_be_cancelled(target: Target, pending: Path) -> None:
    driver = target.load(pending)
    device = target.open(NAME)
    with pytest.raises(NtStatusError, match="could not be cancelled") as info:
        device.ioctl(FOREVER)
    assert info.value.name == "STATUS_PENDING"
    assert not target.stopped
    assert device.ioctl(RELEASE) == b""  # it is completed after all
    device.close()
    assert driver.log.lines == ["cleanup 1", "close 1"]
    driver.unload()
    assert target.violations == []


def test_asynchronous_reads_of_two_handles(target: Target, pending: Path) -> None:
    """WDK: "Cancel-Safe IRP Queues", "IoCsqRemoveNextIrp function (wdm.h)"."""
    driver = target.load(pending)
    first, second = target.open(NAME), target.open(NAME)
    requests = [first.read_async(10), second.read_async(3), first.read_async(10)]
    assert [request.done for request in requests] == [False] * 3
    with pytest.raises(StillPending, match="keeps IRP_MJ_READ pending"):
        requests[0].result()
    assert second.write(b"one") == 3
    assert [request.done for request in requests] == [True, False, False]
    assert second.write_async(b"another").result() == 3
    assert [request.result() for request in requests[:2]] == [b"one", b"ano"]
    assert requests[0].result() == b"one"  # as often as wanted
    first.close()
    with pytest.raises(NtStatusError) as info:
        requests[2].result()
    assert info.value.name == "STATUS_CANCELLED"
    assert status_of(second.write, b"x") == "STATUS_DEVICE_NOT_READY"
    second.close()
    driver.unload()
    assert target.violations == []


def test_cancelling_a_request(target: Target, pending: Path) -> None:
    """WDK: "IoCancelIrp function (wdm.h)"; "IO_CSQ_COMPLETE_CANCELED_IRP callback function"."""
    driver = target.load(pending)
    with target.open(NAME) as device:
        kept, cancelled = device.read_async(10), device.read_async(10)
        assert cancelled.cancel()
        assert cancelled.done
        assert not cancelled.cancel()
        assert status_of(cancelled.result) == "STATUS_CANCELLED"
        assert not kept.done
        assert device.write(b"data") == 4
        assert kept.result() == b"data"
        other = device.ioctl_async(CANCELABLE)
        assert other.cancel()
        assert status_of(other.result) == "STATUS_CANCELLED"
    assert driver.log.lines[:2] == ["canceled", "cancel routine at 2"]
    assert target.violations == []


def test_closing_cancels_what_cleanup_leaves(target: Target, pending: Path) -> None:
    """WDK: "IRP_MJ_CLEANUP"; IRP_MJ_CLOSE comes after the last request is completed."""
    driver = target.load(pending)
    device = target.open(NAME + r"\keep")
    request = device.read_async(10)
    device.close()
    assert status_of(request.result) == "STATUS_CANCELLED"
    assert driver.log.lines == ["cleanup 1", "canceled", "close 1"]
    assert target.violations == []


def test_a_request_that_outlives_its_handle(target: Target, pending: Path) -> None:
    driver = target.load(pending)
    device, other = target.open(NAME), target.open(NAME)
    request = device.ioctl_async(FOREVER)
    device.close()
    (found,) = target.violations
    assert found.rule == "irp-not-cancelled"
    assert driver.log.lines == ["cleanup 1"]
    with pytest.raises(NtStatusError, match="still open"):
        driver.unload()
    other.ioctl(RELEASE)
    assert request.result() == b""
    assert driver.log.lines[-1] == "close 1"
    other.close()
    driver.unload()


def test_a_dispatch_routine_that_waits(target: Target, pending: Path) -> None:
    """An asynchronous call whose dispatch routine blocks goes on when that is over."""
    driver = target.load(pending)
    with target.open(NAME) as device:
        request = device.ioctl_async(BLOCK)
        assert not request.done
        device.ioctl(UNBLOCK)
        assert request.done
        assert request.result() == b""
    assert driver.log.lines[0] == "unblocked"


def test_a_timer_completes_an_asynchronous_request(target: Target, pending: Path) -> None:
    """The machine runs while something is asked of it."""
    target.load(pending)
    with target.open(NAME) as device:
        request = device.ioctl_async(LATER, (1000).to_bytes(4, "little"), 4)
        target.sleep(0.9)
        assert not request.done
        target.sleep(0.2)
        assert request.done
        again = device.ioctl_async(LATER, (1000).to_bytes(4, "little"), 4)
        assert again.result() == b"ZZZZ"  # waits itself


def test_requests_end_with_their_machine(target: Target, pending: Path) -> None:
    target.load(pending)
    device = target.open(NAME)
    request = device.read_async(10)
    target.reboot()
    assert request.done
    assert not request.cancel()
    with pytest.raises(TargetStopped, match="rebooted"):
        request.result()
    with pytest.raises(TargetStopped, match="rebooted"):
        device.read(1)
    device.close()


def test_a_snapshot_keeps_pending_requests(target: Target, pending: Path) -> None:
    target.load(pending)
    device = target.open(NAME)
    request = device.read_async(10)
    snapshot = target.snapshot()
    for data in (b"first", b"second"):
        device.write(data)
        assert target.open(NAME).ioctl(CONTEXT, out_size=8)[0] == 2
        snapshot.restore()
        assert not request.done
    device.write(b"third")
    assert request.result() == b"third"


def test_completing_twice(target: Target, pending: Path) -> None:
    """WDK: "Bug Check 0x44: MULTIPLE_IRP_COMPLETE_REQUESTS"."""
    target.load(pending)
    with pytest.raises(Bugcheck) as info, target.open(NAME) as device:
        device.ioctl(TWICE)
    assert info.value.name == "MULTIPLE_IRP_COMPLETE_REQUESTS"
    assert any(frame.file == "pending.rs" for frame in info.value.frames)


def test_touching_a_completed_irp_faults(target: Target, pending: Path) -> None:
    """WDK: "IofCompleteRequest function (wdm.h)": the IRP is no longer the driver's."""
    target.load(pending)
    with pytest.raises(Bugcheck) as info, target.open(NAME) as device:
        device.ioctl(TOUCH)
    assert info.value.name == "DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL"
    assert "tag 'Irp '" in str(info.value)


def test_file_objects_have_contexts(target: Target, pending: Path) -> None:
    """WDK: "FILE_OBJECT structure (wdm.h)": FsContext is the driver's."""
    target.load(pending)
    first, second = target.open(NAME), target.open(NAME)
    assert [h.ioctl(CONTEXT, out_size=8)[0] for h in (second, first)] == [2, 1]
    first.close()
    assert second.ioctl(CONTEXT, out_size=8)[0] == 2


def test_the_cancel_spin_lock(target: Target, pending: Path) -> None:
    """WDK: "IoAcquireCancelSpinLock function (wdm.h)"; "IoCancelIrp": FALSE without a routine."""
    driver = target.load(pending)
    with target.open(NAME) as device:
        device.ioctl(HELD)
    assert driver.log.lines[0] == "0 2 0 1"


def test_synchronous_or_not(target: Target, pending: Path) -> None:
    """WDK: "IoIsOperationSynchronous function (ntifs.h)"."""
    driver = target.load(pending)
    with target.open(NAME) as device:
        device.ioctl(SYNCHRONOUS)
        device.ioctl_async(SYNCHRONOUS).result()
    assert driver.log.lines[:2] == ["synchronous 1", "synchronous 0"]


def test_who_asks(target: Target, pending: Path) -> None:
    """WDK: "IoGetRequestorProcess function (ntifs.h)" and its kind."""
    driver = target.load(pending)
    with target.open(NAME, access="r") as device:
        device.ioctl(WHO)
    assert driver.log.lines[:3] == ["true true 0 1 0", str(0xC000_0022), "true"]


def test_flush_and_shutdown(pending: Path) -> None:
    """WDK: "IRP_MJ_FLUSH_BUFFERS"; "IoRegisterShutdownNotification function (wdm.h)".

    "IoRegisterLastChanceShutdownNotification function (wdm.h)": told a second time, at the end.
    """
    with kernellab.connect("sim") as target:
        driver = target.load(pending)
        with target.open(NAME) as device:
            device.flush()
        target.reboot()
        assert driver.log.lines == ["flush", "cleanup 1", "close 1", "shutdown", "shutdown"]
