"""Rules about requests and arguments: each broken by a driver, and not by a similar one."""

from __future__ import annotations

from tests.target.sim.rules import Check


def test_irp_not_completed(breaks: Check) -> None:
    """Windows drivers: "Completing IRPs"."""
    found = breaks(io="if bad() { return 0; } complete(irp, 0, 0)")
    assert found.only.rule == "irp-not-completed"
    assert "IRP_MJ_DEVICE_CONTROL returned STATUS_SUCCESS without completing" in found.only.message


def test_completed_with_pending(breaks: Check) -> None:
    """ "Bug Check 0xC9", 0x06."""
    found = breaks(
        io="complete(irp, if bad() { STATUS_PENDING } else { 0 }, 0); // @bad\n"
        "if bad() { STATUS_PENDING } else { 0 }"
    )
    assert found.violations[0].rule == "completed-with-pending"


def test_information_too_large(breaks: Check) -> None:
    """Windows drivers: "Failure to Check the Size of Buffers"."""
    found = breaks(io="*buffer = 1; complete(irp, 0, if bad() { 17 } else { 1 })", room=16)
    assert "information-too-large" in [v.rule for v in found.violations]
    assert "Information 17, but the caller's buffer has 16 bytes" in found.violations[0].message


def test_format_string(breaks: Check) -> None:
    """WDK: "DbgPrint function (wdm.h)": the text is an argument, not the format."""
    found = breaks(
        io="if bad() { DbgPrint(buffer.cast()); // @bad\n"
        '} else { DbgPrint(c"%s".as_ptr().cast(), buffer); } complete(irp, 0, 0)',
        given=b"100 %% of it\n\0",
    )
    assert found.only.rule == "format-string" and found.shows()


def test_bad_device(breaks: Check) -> None:
    """WDK: "IoDeleteDevice function (wdm.h)"."""
    found = breaks(
        "let mut d = null_mut();"
        "IoCreateDevice(driver, 0, null(), FILE_DEVICE_UNKNOWN, 0, 0, &mut d);"
        "let p = pool(512);\nIoDeleteDevice(if bad() { p.cast() } else { d }); // @bad\n"
        "if bad() { IoDeleteDevice(d); } ExFreePoolWithTag(p.cast(), TAG);"
    )
    assert found.only.rule == "bad-device" and found.shows()


def test_wrong_pending(breaks: Check) -> None:
    """WDK: "IoMarkIrpPending function (wdm.h)"."""
    found = breaks(
        io="IoMarkIrpPending(irp); complete(irp, 0, 0); if bad() { 0 } else { STATUS_PENDING }"
    )
    assert found.only.rule == "wrong-pending"
    assert "marked an IRP pending, and returned STATUS_SUCCESS" in found.only.message


_CANCEL = """
unsafe extern "system" fn cancel(_: *mut DEVICE_OBJECT, irp: *mut IRP) {
    unsafe {
        if !bad() { IoReleaseCancelSpinLock((*irp).CancelIrql); }
        complete(irp, 0, 0);
    }
}
"""


def test_cancel_routine_set(breaks: Check) -> None:
    """ "Bug Check 0xC9: DRIVER_VERIFIER_IOMANAGER_VIOLATION", 0x07."""
    found = breaks(
        io="IoSetCancelRoutine(irp, Some(cancel));\n"
        "if !bad() { IoSetCancelRoutine(irp, None); }\n"
        'complete(irp, 0, 0); // @bad\nprintln!("done"); 0',
        extra=_CANCEL,
    )
    assert found.only.rule == "cancel-routine-set" and found.shows()


def test_cancel_lock_held(breaks: Check) -> None:
    """WDK: "IoCancelIrp function (wdm.h)": the cancel routine releases the cancel spin lock."""
    found = breaks(
        io="IoMarkIrpPending(irp); IoSetCancelRoutine(irp, Some(cancel));\n"
        "IoCancelIrp(irp); STATUS_PENDING",
        extra=_CANCEL,
    )
    rules = [v.rule for v in found.violations]
    assert "cancel-lock-held" in rules, (rules, found.error)


def test_irp_not_cancelled(breaks: Check) -> None:
    """Windows drivers: "DispatchCleanup Routines"; "IoCancelIrp function (wdm.h)"."""
    found = breaks(
        io="if !bad() { return complete(irp, 0, 0); }\n"
        "IoMarkIrpPending(irp); KEEP.store(irp.cast(), Ordering::SeqCst); STATUS_PENDING"
    )
    assert found.only.rule == "irp-not-cancelled"


def test_irp_misused(breaks: Check) -> None:
    """WDK: "IoReuseIrp function (wdm.h)": an IRP of IoAllocateIrp, no other."""
    found = breaks(
        io="let own = IoAllocateIrp(1, 0); let part = IoMakeAssociatedIrp(irp, 1);\n"
        "IoReuseIrp(if bad() { part } else { own }, 0); // @bad\n"
        "IoFreeIrp(part); IoFreeIrp(own); complete(irp, 0, 0)",
    )
    assert found.only.rule == "irp-misused" and found.shows()


def test_device_deleted_attached(breaks: Check) -> None:
    """WDK: "IoDetachDevice function (wdm.h)": before the device object is deleted."""
    found = breaks(
        "let mut d = null_mut();"
        "IoCreateDevice(driver, 0, null(), FILE_DEVICE_UNKNOWN, 0, 0, &mut d);"
        "(*device).Flags &= !DO_DEVICE_INITIALIZING;"
        "let lower = IoAttachDeviceToDeviceStack(d, device); assert!(lower == device);"
        "if !bad() { IoDetachDevice(lower); }\nIoDeleteDevice(d); // @bad\n",
        io="complete(irp, 0, 0)",
    )
    assert found.only.rule == "device-deleted-attached" and found.shows()


def test_remove_lock_released(breaks: Check) -> None:
    """WDK: "IoReleaseRemoveLock macro (wdm.h)"."""
    found = breaks(
        "let lock = pool(32).cast::<IO_REMOVE_LOCK>();"
        "IoInitializeRemoveLockEx(lock, TAG, 0, 0, 32);"
        "IoAcquireRemoveLockEx(lock, null(), null(), 0, 32);"
        "IoReleaseRemoveLockEx(lock, null(), 32);\n"
        "if bad() { IoReleaseRemoveLockEx(lock, null(), 32); } // @bad\n"
        "ExFreePoolWithTag(lock.cast(), TAG);"
    )
    assert found.only.rule == "remove-lock-released" and found.shows()


def test_status_and_information(breaks: Check) -> None:
    """Windows drivers: "Setting the I/O Status Block in an IRP"."""
    found = breaks(
        io="if bad() { return complete(irp, STATUS_INVALID_PARAMETER, 8); } complete(irp, 0, 0)"
    )
    assert found.only.rule == "status-and-information"
    assert "STATUS_INVALID_PARAMETER and Information 8" in found.only.message


def test_completed_twice_shows_the_first_time(breaks: Check) -> None:
    """ "Bug Check 0x44: MULTIPLE_IRP_COMPLETE_REQUESTS"."""
    found = breaks(
        io="IofCompleteRequest(irp, 0); // @first\nif bad() { IofCompleteRequest(irp, 0); } 0"
    )
    event = found.target.bugcheck
    assert event is not None and event.code == "0x44"
    assert found.line("first") in [f.line for s in event.related for f in s.frames]


def test_touched_after_completion(breaks: Check) -> None:
    """An IRP is gone with its completion: bug check 0xD5, which shows where that was."""
    found = breaks(
        io="IofCompleteRequest(irp, 0); // @first\nif bad() { (*irp).IoStatus.Information = 1; } 0"
    )
    event = found.target.bugcheck
    assert event is not None and event.code == "0xD5"
    assert found.line("first") in [f.line for s in event.related for f in s.frames]
