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
