"""Rules about pool: each broken by a driver, and not by a similar one."""

from __future__ import annotations

from tests.target.sim.rules import Check

FREE = "ExFreePoolWithTag(p.cast(), TAG);"


def test_overrun(breaks: Check) -> None:
    """Windows drivers: "Special Pool". One byte behind 13."""
    found = breaks(
        f"let p = pool(13); *p.add(if bad() {{ 13 }} else {{ 12 }}) = 1; // @bad\n{FREE}"
    )
    assert found.only.rule == "pool-overrun"
    assert "offset 13 was written" in found.only.message
    assert "13 bytes with tag 'Rule'; found when it was freed" in found.only.message
    assert found.related("bad") == "allocated here"


def test_overrun_of_what_is_never_freed(breaks: Check) -> None:
    """Found at unload; the good one frees in time."""
    found = breaks(
        "let p = pool(13); *p.add(if bad() { 13 } else { 12 }) = 1; KEEP.store(p.cast(), "
        "Ordering::Relaxed);",
        "if !bad() { ExFreePoolWithTag(KEEP.load(Ordering::Relaxed), TAG); }",
    )
    assert [v.rule for v in found.violations] == ["pool-overrun", "leak-pool"]
    assert "found at unload" in found.violations[0].message


def test_underrun(breaks: Check) -> None:
    """Windows drivers: "Special Pool". One byte before the beginning."""
    found = breaks(f"let p = pool(32); *p.sub(if bad() {{ 1 }} else {{ 0 }}) = 1; // @bad\n{FREE}")
    assert found.only.rule == "pool-underrun"
    assert "1 byte before the beginning of an allocation of 32 bytes" in found.only.message
    assert found.related("bad") == "allocated here"


def test_tag(breaks: Check) -> None:
    """WDK: "ExAllocatePoolWithTag function (wdm.h)"."""
    found = breaks(
        "let t = if bad() { 0 } else { TAG };\n"
        "let p = ExAllocatePoolWithTag(512, 8, t); // @bad\n"
        "ExFreePoolWithTag(p, t);"
    )
    assert found.only.rule == "pool-tag"
    assert "8 bytes of pool were allocated with the tag 0" in found.only.message
    assert found.shows()


def test_default_tag(breaks: Check) -> None:
    """WDK: "ExAllocatePool function (wdm.h)"."""
    found = breaks(
        "let p = if bad() { ExAllocatePool(512, 8) } else { pool(8).cast() };\nExFreePool(p);"
    )
    assert found.only.rule == "pool-tag" and "'None'" in found.only.message


def test_zero_size(breaks: Check) -> None:
    """ "Bug Check 0xC4", 0x00."""
    found = breaks(
        "let p = ExAllocatePoolWithTag(512, if bad() { 0 } else { 1 }, TAG); // @bad\n"
        "ExFreePoolWithTag(p, TAG);"
    )
    assert found.only.rule == "pool-zero-size" and found.shows()


def test_executable(breaks: Check) -> None:
    """ "Bug Check 0xC4", 0x2000."""
    found = breaks(
        "let p = ExAllocatePoolWithTag(if bad() { 0 } else { 512 }, 8, TAG); // @bad\n"
        "ExFreePoolWithTag(p, TAG);"
    )
    assert found.only.rule == "pool-executable" and found.shows()
    assert "NonPagedPoolNx" in found.only.message


def test_leak(breaks: Check) -> None:
    """Grouped by the allocation's line; "Bug Check 0xC4", 0x62."""
    found = breaks(
        "for n in 0..core::hint::black_box(3) { let p = pool(100); // @bad\nif !bad() || n == 0 { "
        "ExFreePoolWithTag(p.cast(), TAG); } }"
    )
    assert found.only.rule == "leak-pool" and found.shows()
    assert "200 bytes of pool with tag 'Rule' (2 allocations)" in found.only.message


def test_disclosure(breaks: Check) -> None:
    """Windows drivers: "Failure to Initialize Output Buffers"."""
    found = breaks(
        io="buffer.cast::<u64>().write(7); complete(irp, 0, if bad() { 40 } else { 8 })",
        room=64,
    )
    assert found.only.rule == "disclosure"
    assert "32 bytes of kernel memory that were never written" in found.only.message
    assert "offset 8 of the 40 bytes" in found.only.message


def test_disclosure_of_a_few_bytes(breaks: Check) -> None:
    """Windows drivers: "Failure to Initialize Output Buffers": padding, say."""
    io = (
        "let n = COUNT.fetch_add(1, Ordering::SeqCst);\n"
        "core::ptr::write_bytes(buffer.add(4), 0xCD, 2); *buffer.add(6) = 1;\n"
        "buffer.cast::<u32>().write(7);\n"
        "buffer.add(8).cast::<u64>().write(0xB3CD_A9D6 + n as u64);\n"
        "if !(*location).FileObject.is_null() && ZERO { *buffer.add(7) = 0; }\n"
        "complete(irp, 0, 16)"
    )
    extra = "static COUNT: AtomicU32 = AtomicU32::new(0);\nconst ZERO: bool = "
    for zero in ("true;", "false;"):
        driver = breaks.start(breaks.source(io=io, extra=extra + zero))
        with breaks.target.open(r"\\.\Rule") as handle:
            for n in range(9):
                handle.ioctl(0x222000 + n % 2 * 4, b"", out_size=16)
                if zero == "true;" or n < 4:
                    assert breaks.target.violations == []
        driver.unload()
    (found,) = breaks.target.violations
    assert found.rule == "disclosure"
    assert "1 byte of kernel memory that was never written, from offset 7" in found.message


def test_what_the_program_sent_is_no_disclosure(breaks: Check) -> None:
    found = breaks(io="complete(irp, 0, if bad() { 48 } else { 16 })", given=b"\xcd" * 16, room=64)
    assert found.only.rule == "disclosure"


def test_use_after_free_shows_both_stacks(breaks: Check) -> None:
    """ "Bug Check 0xD5: DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL"."""
    found = breaks(
        "let p = pool(8); // @allocated\n"
        "if bad() { ExFreePoolWithTag(p.cast(), TAG); } // @freed\n"
        "*p = 1;\n"
        "if !bad() { ExFreePoolWithTag(p.cast(), TAG); }"
    )
    event = found.target.bugcheck
    assert event is not None and event.code == "0xD5"
    shown = {s.label: [f.line for f in s.frames] for s in event.related}
    assert found.line("allocated") in shown["allocated here"]
    assert found.line("freed") in shown["freed here"]


def test_bad_frees_show_the_allocation(breaks: Check) -> None:
    """ "Bug Check 0xC2: BAD_POOL_CALLER": freed twice, with another tag, in the middle."""
    for step in (
        "ExFreePoolWithTag(p.cast(), TAG);",
        "ExFreePoolWithTag(p.cast(), TAG + 1);",
        "ExFreePoolWithTag(p.add(16).cast(), TAG);",
    ):
        last = "if bad() { ExFreePoolWithTag(p.cast(), TAG); }" if "TAG)" in step else ""
        found = breaks(
            f"let p = pool(64); // @allocated\nif bad() {{ {step} }} {last}\n"
            "if !bad() { ExFreePoolWithTag(p.cast(), TAG); }"
        )
        event = found.target.bugcheck
        assert event is not None and event.code == "0xC2"
        shown = {s.label: [f.line for f in s.frames] for s in event.related}
        assert found.line("allocated") in shown["allocated here"]


def test_underrun_of_a_page_is_told_as_one(breaks: Check) -> None:
    """The unmapped page before it is also the one behind the allocation before."""
    found = breaks(
        "let a = pool(64); let p = pool(4096); *p.sub(if bad() { 1 } else { 0 }) = 1;\n"
        "ExFreePoolWithTag(a.cast(), TAG); ExFreePoolWithTag(p.cast(), TAG);"
    )
    event = found.target.bugcheck
    assert event is not None and event.code == "0xD6"
    assert "1 byte before the beginning of an allocation of 4096 bytes" in event.message
