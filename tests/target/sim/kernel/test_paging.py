"""Pageable memory at DISPATCH_LEVEL, which Windows may have paged out; by drivers and directly."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import kernellab
from kernellab.build import BuildResult
from kernellab.errors import Bugcheck

Build = Callable[..., BuildResult]

_EXTRA = """
use windows_kernel_rs::sys::*;
const TAG: u32 = 0x31676154;
static mut LOCK: usize = 0;
#[allow(dead_code)]
unsafe fn pool(flags: u64, size: usize) -> *mut u32 {
    let p = unsafe { ExAllocatePool2(flags, size, TAG) } as *mut u32;
    assert!(!p.is_null());
    p
}
#[allow(dead_code)]
unsafe fn raise() -> u8 { unsafe { KeAcquireSpinLockRaiseToDpc(&raw mut LOCK) } }
#[allow(dead_code)]
unsafe fn lower(irql: u8) { unsafe { KeReleaseSpinLock(&raw mut LOCK, irql) } }
#[allow(dead_code)] const NON_PAGED: u64 = 64;
#[allow(dead_code)] const PAGED: u64 = 256;
"""


def run(build: Build, name: str, body: str, extra: str = "") -> list[str]:
    image = build(name, f"unsafe {{ {body} }}", extra=_EXTRA + extra).sys
    with kernellab.connect("sim") as target:
        driver = target.load(image)
        driver.unload()
        return list(driver.log.lines)


def crash(build: Build, name: str, body: str, extra: str = "") -> Bugcheck:
    with pytest.raises(Bugcheck) as info:
        run(build, name, body, extra)
    return info.value


@pytest.mark.parametrize(
    ("access", "operation"),
    [('let v = p.add(1).read_volatile(); println!("{v}");', 0), ("p.add(1).write_volatile(7);", 1)],
)
def test_paged_pool_at_dispatch_level(build_driver: Build, access: str, operation: int) -> None:
    """WDK: "Bug Check 0xD1: DRIVER_IRQL_NOT_LESS_OR_EQUAL"; it had been used a moment before."""
    check = crash(
        build_driver,
        f"paged{operation}",
        f"let p = pool(PAGED, 16); p.write_volatile(1); let irql = raise(); {access} lower(irql);",
    )
    assert (check.code, check.name) == (0xD1, "DRIVER_IRQL_NOT_LESS_OR_EQUAL")
    assert check.parameters[0] % 4096 == 4096 - 16 + 4
    assert list(check.parameters[1:3]) == [2, operation]
    assert "offset 4 of 16 bytes of paged pool with tag 'Tag1'" in str(check)


def test_paged_pool_below_dispatch_level(build_driver: Build) -> None:
    """Before, between and behind raised sections all is well; so is nonpaged pool inside."""
    lines = run(
        build_driver,
        "fine",
        """let p = pool(PAGED, 10000); let n = pool(NON_PAGED, 10000);
        for i in 0..2000usize {
            p.add(i).write_volatile(i as u32);
            let irql = raise();
            n.add(i).write_volatile(i as u32);
            lower(irql);
            assert!(p.add(i).read_volatile() == n.add(i).read_volatile());
        }
        ExFreePool(p.cast()); ExFreePool(n.cast()); println!("done");""",
    )
    assert lines == ["done", "bye"]


def test_paged_pool_after_lowering_inline(build_driver: Build) -> None:
    """WDK: "KeRaiseIrql function (wdm.h)": on x64 it is a write to CR8, compiled in."""
    body = """let p = pool(PAGED, 16); p.write_volatile(5);
        let old: u64; core::arch::asm!("mov {}, cr8", out(reg) old);
        core::arch::asm!("mov cr8, {}", in(reg) 2u64);
        MIDDLE
        core::arch::asm!("mov cr8, {}", in(reg) old);
        println!("{}", p.read_volatile()); ExFreePool(p.cast());"""
    assert run(build_driver, "cr8", body.replace("MIDDLE", ""))[0] == "5"
    check = crash(build_driver, "cr8b", body.replace("MIDDLE", "p.write_volatile(6);"))
    assert check.code == 0xD1


def test_paged_pool_in_a_dpc(build_driver: Build) -> None:
    """WDK: "Introduction to DPCs": a DPC runs at DISPATCH_LEVEL."""
    check = crash(
        build_driver,
        "indpc",
        """let p = pool(PAGED, 16); p.write_volatile(1);
        KeInitializeDpc((&raw mut DPC).cast(), Some(dpc), p.cast());
        KeInsertQueueDpc((&raw mut DPC).cast(), core::ptr::null(), core::ptr::null());
        let mut d: i64 = -10_000; KeDelayExecutionThread(0, 0, &raw mut d as _);""",
        """static mut DPC: core::mem::MaybeUninit<KDPC> = core::mem::MaybeUninit::zeroed();
        unsafe extern "system" fn dpc(_: *mut KDPC, context: *mut core::ffi::c_void,
            _: *mut core::ffi::c_void, _: *mut core::ffi::c_void) {
            unsafe { println!("{}", context.cast::<u32>().read_volatile()); }
        }""",
    )
    assert check.code == 0xD1
    assert check.parameters[1] == 2


def test_a_kernel_routine_touches_paged_pool(build_driver: Build) -> None:
    """WDK: "Bug Check 0xA: IRQL_NOT_LESS_OR_EQUAL": the access is the kernel's own."""
    check = crash(
        build_driver,
        "byroutine",
        """let p = pool(PAGED, 64); let irql = raise();
        KeInitializeSpinLock(p.cast());
        KeAcquireSpinLockAtDpcLevel(p.cast()); lower(irql);""",
    )
    assert check.code in (0x0A, 0xD1)


def test_locked_paged_pool_at_dispatch_level(build_driver: Build) -> None:
    """WDK: "MmProbeAndLockPages function (wdm.h)": locked pages are resident."""
    lines = run(
        build_driver,
        "lockedpool",
        """let p = pool(PAGED, 8192); p.write_volatile(41);
        let mdl = IoAllocateMdl(p.cast(), 8192, FALSE, FALSE, core::ptr::null_mut());
        MmProbeAndLockPages(mdl, 0, IoWriteAccess);
        let m = MmMapLockedPagesSpecifyCache(mdl, 0, MmCached, core::ptr::null(), 0, 16)
            as *mut u32;
        let irql = raise();
        m.write_volatile(m.read_volatile() + 1);
        let direct = p.read_volatile();
        lower(irql);
        println!("{direct}");
        MmUnlockPages(mdl); IoFreeMdl(mdl); ExFreePool(p.cast());""",
    )
    assert lines == ["42", "bye"]


_SECTIONS = """
#[unsafe(link_section = "PAGE")] #[inline(never)]
fn paged_code(value: u32) -> u32 { core::hint::black_box(value) + 1 }
#[unsafe(link_section = "PAGEDATA")] static mut PAGED_DATA: u32 = 7;
#[allow(dead_code)]
unsafe fn lock(address: *const core::ffi::c_void) -> *mut core::ffi::c_void {
    unsafe { MmLockPagableDataSection(address) }
}
"""


def test_pageable_sections(build_driver: Build) -> None:
    """WDK: "Making Drivers Pageable", "MmLockPagableDataSection function (ntddk.h)"."""
    lines = run(
        build_driver,
        "sections",
        """println!("{} {}", paged_code(1), (&raw const PAGED_DATA).read_volatile());
        let code = lock(paged_code as *const _);
        let data = lock((&raw const PAGED_DATA).cast());
        let irql = raise();
        let v = paged_code(2) + (&raw const PAGED_DATA).read_volatile();
        lower(irql);
        println!("{v}");
        MmUnlockPagableImageSection(code); MmLockPagableSectionByHandle(code);
        MmUnlockPagableImageSection(code); MmUnlockPagableImageSection(data);""",
        _SECTIONS,
    )
    assert lines == ["2 7", "10", "bye"]


@pytest.mark.parametrize(
    ("use", "operation"),
    [("paged_code(2)", 8), ("(&raw const PAGED_DATA).read_volatile()", 0)],
)
def test_pageable_sections_at_dispatch_level(build_driver: Build, use: str, operation: int) -> None:
    """WDK: "Making Drivers Pageable": such code and data is for IRQL < DISPATCH_LEVEL."""
    check = crash(
        build_driver,
        f"section{operation}",
        f'let w = {use}; let irql = raise(); let v = {use}; lower(irql); println!("{{v}} {{w}}");',
        _SECTIONS,
    )
    assert (check.code, check.parameters[2]) == (0xD1, operation)
    assert "pageable section" in str(check)


def test_unlocking_a_section_twice(build_driver: Build) -> None:
    """WDK: "Bug Check 0x1A: MEMORY_MANAGEMENT", 0x1010."""
    check = crash(
        build_driver,
        "unlocktwice",
        """let h = lock((&raw const PAGED_DATA).cast());
        MmUnlockPagableImageSection(h); MmUnlockPagableImageSection(h);
        println!("{}", paged_code(1));""",
        _SECTIONS,
    )
    assert (check.code, check.parameters[0]) == (0x1A, 0x1010)


def test_paging_an_entire_driver(build_driver: Build) -> None:
    """WDK: "MmPageEntireDriver function (ntddk.h)": and "MmResetDriverPaging" takes it back."""
    body = """let own = (&raw const LOCK) as *const core::ffi::c_void;
        println!("{}", MmPageEntireDriver(own) as usize <= own as usize); BACK
        let irql = raise(); lower(irql); println!("{}", (&raw const LOCK).read_volatile());"""
    lines = run(build_driver, "pageall", body.replace("BACK", "MmResetDriverPaging(own);"))
    assert lines == ["true", "0", "bye"]
    assert crash(build_driver, "pageall2", body.replace("BACK", "")).code in (0x0A, 0xD1)
