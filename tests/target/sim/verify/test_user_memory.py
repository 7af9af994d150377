"""Rules about user memory: each broken by a driver, and not by a similar one.

WDK: "Using Neither Buffered Nor Direct I/O", "Errors in Referencing User-Space Addresses".
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kernellab.lab import Target
from tests.target.sim.rules import Check

NEITHER = 0x222003

#: The program's buffers, ``n`` bytes of input; ``probe`` has them checked.
_START = """
let given = (*location).Parameters.DeviceIoControl.Type3InputBuffer.cast::<u8>();
let n = (*location).Parameters.DeviceIoControl.InputBufferLength as usize;
let room = (*irp).UserBuffer.cast::<u8>();
let m = (*location).Parameters.DeviceIoControl.OutputBufferLength as usize;
let probe = || {
    ProbeForRead(given.cast(), n as _, 1);
    ProbeForWrite(room.cast(), m as _, 1);
};
"""

_LINKED = """
#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" { fn RtlMoveMemory(to: *mut c_void, from: *const c_void, size: usize); }
"""

_UNPROBED = {
    "read": "let x = given.read_volatile(); // @bad\nassert!(x == 1);",
    "write": "room.write_volatile(7); // @bad",
    "copied": "let mut own = [0u8; 48];\n"
    "core::ptr::copy_nonoverlapping(given, own.as_mut_ptr(), n); // @bad\n"
    "core::hint::black_box(&own);",
    "by an export": "let mut own = [0u8; 48];\n"
    "RtlMoveMemory(own.as_mut_ptr().cast(), given.cast(), n as _); // @bad\n",
    "by an instruction that also reads": "core::arch::asm!(\n"
    '"inc byte ptr [{0}]", in(reg) room); // @bad',
    "string": "let mut own = [0u8; 48];\n"
    'core::arch::asm!("rep movsb", inout("rcx") n => _, inout("rsi") given => _,\n'
    'inout("rdi") own.as_mut_ptr() => _); // @bad\nassert!(own[1] == 2);',
}


@pytest.mark.parametrize("how", _UNPROBED)
def test_user_pointer_unprobed(breaks: Check, how: str) -> None:
    """WDK: "ProbeForRead function (wdm.h)", "ProbeForWrite function (wdm.h)"."""
    found = breaks(
        io=f"{_START} if !bad() {{ probe(); }}\n{_UNPROBED[how]}\ncomplete(irp, 0, 0)",
        extra=_LINKED,
        code=NEITHER,
        given=bytes(range(1, 41)),
        room=16,
    )
    assert found.only.rule == "user-pointer-unprobed", found.only
    does = "writes" if how in ("write",) else "reads"
    assert f"the driver {does} user memory" in found.only.message
    assert "no __except is around it" in found.only.message
    assert found.shows() or "asm" in _UNPROBED[how], found.only.frames


def test_a_locked_mdl_is_a_probe(breaks: Check) -> None:
    """WDK: "MmProbeAndLockPages function (wdm.h)"."""
    found = breaks(
        io=f"{_START} let mdl = IoAllocateMdl(given.cast(), n as _, 0, 0, null_mut());\n"
        "if !bad() { MmProbeAndLockPages(mdl, 1, IoReadAccess as _); }\n"
        "let x = given.read_volatile(); // @bad\n"
        "if !bad() { let at = MmMapLockedPagesSpecifyCache(mdl, 0, 1, null_mut(), 0, 16)"
        ".cast::<u8>(); assert!(x == at.read_volatile() && x == at.read_volatile());"
        "MmUnlockPages(mdl); } IoFreeMdl(mdl); complete(irp, 0, 0)",
        code=NEITHER,
        given=bytes(range(1, 41)),
    )
    assert found.only.rule == "user-pointer-unprobed" and found.shows()


_CHECKED = "if first > 40 { return complete(irp, STATUS_INVALID_PARAMETER, 0); }\n"
_TWICE = {
    "a field": f"let first = given.read_volatile(); // @first\n{_CHECKED}"
    "let again = if bad() { given.read_volatile() } else { first }; // @bad\n"
    "core::hint::black_box(again);",
    "the field before, the whole after": f"let first = given.read_volatile(); // @first\n{_CHECKED}"
    "let from = if bad() { 0 } else { 1 };\nlet mut own = [0u8; 48];"
    "RtlMoveMemory(own.as_mut_ptr().cast(), given.add(from).cast(), 8); // @bad\n",
    "the whole before, the field after": "let mut own = [0u8; 48];\n"
    "RtlMoveMemory(own.as_mut_ptr().cast(), given.cast(), n as _); // @first\n"
    "let first = own[0];\n"
    f"{_CHECKED}let again = if bad() {{ given.read_volatile() }} else {{ first }}; // @bad\n"
    "core::hint::black_box(again);",
    "copied twice": "let mut own = [0u8; 48];\n"
    "core::ptr::copy_nonoverlapping(given, own.as_mut_ptr(), n); // @first\n"
    f"let first = own[0];\n{_CHECKED}if bad() {{\n"
    "core::ptr::copy_nonoverlapping(given, own.as_mut_ptr(), n); // @bad\n"
    "} core::hint::black_box(&own);",
}


@pytest.mark.parametrize("how", _TWICE)
def test_user_double_fetch(breaks: Check, how: str) -> None:
    """CWE-367; "Errors in Referencing User-Space Addresses": capture what is checked."""
    found = breaks(
        io=f"{_START} probe();\n{_TWICE[how]}\ncomplete(irp, 0, 0)",
        extra=_LINKED,
        code=NEITHER,
        given=bytes(range(1, 41)),
        room=16,
    )
    assert found.only.rule == "user-double-fetch", found.only
    assert found.shows(), found.only.frames
    assert found.related("first") == "first read here"


_ONCE = {
    "different bytes": "for at in 0..n { core::hint::black_box(given.add(at).read_volatile()); }",
    "what it wrote itself": "room.write_volatile(3); assert!(room.read_volatile() == 3);\n"
    "assert!(room.read_volatile() == 3);",
    "overlapping loads of one copy": "let (a, b): (u64, u64);\n"
    'core::arch::asm!("mov {0}, [{2}]", "mov {1}, [{2} + 4]", "mov {1}, [{2}]",\n'
    "out(reg) a, out(reg) b, in(reg) given); core::hint::black_box((a, b));",
    "the same instruction again": "for _ in 0..core::hint::black_box(9) {\n"
    "core::hint::black_box(given.read_volatile()); }",
    "a copy, and what is behind it": "let mut own = [0u8; 48];\n"
    "core::ptr::copy_nonoverlapping(given, own.as_mut_ptr(), 20);\n"
    "core::ptr::copy_nonoverlapping(given.add(20), own.as_mut_ptr(), 20);",
    "a struct": "let own = given.cast::<[u64; 3]>().read_unaligned(); core::hint::black_box(own);",
}


def test_no_double_fetch(breaks: Check) -> None:
    """Each in a request of its own: nothing of an earlier request counts."""
    code = "\n".join(f"{n} => {{ {text} }}" for n, text in enumerate(_ONCE.values()))
    io = (
        f"{_START} probe(); let which = COUNT.fetch_add(1, Ordering::SeqCst);\n"
        f"match which {{ {code} _ => {{}} }}\ncomplete(irp, 0, 0)"
    )
    target = breaks.target
    source = breaks.source(io=io, extra="static COUNT: AtomicU32 = AtomicU32::new(0);")
    for release in (False, True):
        driver = breaks.start(source, release=release)
        with target.open(r"\\.\Rule") as handle:
            for how in _ONCE:
                handle.ioctl(NEITHER, bytes(range(1, 41)), out_size=16)
                assert target.violations == [], how
        driver.unload()


def test_a_large_copy_is_quick_and_right(breaks: Check) -> None:
    """``rep movs`` and ``rep stos`` of user memory, both ways, across pages."""
    io = (
        f"{_START} probe(); let own = pool(n); let p = own;\n"
        'core::arch::asm!("rep movsb", inout("rcx") n => _, inout("rsi") given => _,\n'
        'inout("rdi") p => _);\n'
        "for at in 0..n { *own.add(at) ^= 0xFF; }\n"
        'core::arch::asm!("rep movsq", inout("rcx") n / 8 => _, inout("rsi") own => _,\n'
        'inout("rdi") room => _);\n'
        'core::arch::asm!("rep stosb", inout("rcx") 5usize => _, in("al") 0x41u8,\n'
        'inout("rdi") room.add(3) => _); ExFreePoolWithTag(own.cast(), TAG); complete(irp, 0, n)'
    )
    driver = breaks.start(breaks.source(io=io))
    data = bytes(n % 251 for n in range(1 << 16))
    with breaks.target.open(r"\\.\Rule") as handle:
        answer = handle.ioctl(NEITHER, data, out_size=len(data))
    expected = bytes(n ^ 0xFF for n in data)
    assert answer == expected[:3] + b"AAAAA" + expected[8:]
    driver.unload()
    assert breaks.target.violations == []


_IN_C = r"""
#include <ntddk.h>
static const UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\InC");
static const UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\DosDevices\\InC");
typedef struct { ULONG size; UCHAR kind; UCHAR data[27]; } REQUEST;

static NTSTATUS NTAPI dispatch(PDEVICE_OBJECT device, PIRP irp)
{
    PIO_STACK_LOCATION here = IoGetCurrentIrpStackLocation(irp);
    NTSTATUS status = STATUS_SUCCESS;
    if (here->MajorFunction == IRP_MJ_DEVICE_CONTROL) {
        REQUEST *given = here->Parameters.DeviceIoControl.Type3InputBuffer, own;
        ULONG code = here->Parameters.DeviceIoControl.IoControlCode >> 2 & 0xFFF;
        UCHAR data[64];
        __try {
            if (code != 0)
                ProbeForRead(given, sizeof *given, 1);
            if (code == 1) {
                own = *given;
                if (own.size <= sizeof data)
                    RtlCopyMemory(data, own.data, own.size);
            } else if (((volatile REQUEST *)given)->size <= sizeof data) {
                if (code == 2)
                    RtlCopyMemory(data, given->data, ((volatile REQUEST *)given)->size);
            }
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            status = GetExceptionCode();
        }
    }
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = 0;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static VOID NTAPI unload(PDRIVER_OBJECT driver)
{
    IoDeleteSymbolicLink((PUNICODE_STRING)&link);
    IoDeleteDevice(driver->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    PDEVICE_OBJECT device;
    NTSTATUS status = IoCreateDevice(driver, 0, (PUNICODE_STRING)&name, 0x22, 0, FALSE, &device);
    driver->MajorFunction[IRP_MJ_CREATE] = driver->MajorFunction[IRP_MJ_CLOSE] =
        driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = dispatch;
    driver->DriverUnload = unload;
    IoCreateSymbolicLink((PUNICODE_STRING)&link, (PUNICODE_STRING)&name);
    return status;
}
"""


def test_in_c(machine: Target, build_c_driver: Callable[[str, str], Path]) -> None:
    """Not probed; captured; fetched twice; and where ``__except`` is around, that is not told."""
    machine.reboot()
    machine.violations.clear()
    driver = machine.load(build_c_driver("user", _IN_C), name="user")
    data = (24).to_bytes(4, "little") + bytes(range(28))
    with machine.open(r"\\.\InC") as device:
        device.ioctl(0x220007, data)
        device.ioctl(0x22000F, data)
        assert machine.violations == []
        device.ioctl(0x22000B, data)
        device.ioctl(0x220003, data)
    driver.unload()
    twice, unprobed = machine.violations
    assert (twice.rule, unprobed.rule) == ("user-double-fetch", "user-pointer-unprobed")
    assert "4 bytes of user memory are read" in twice.message
    assert unprobed.message.endswith("ProbeForRead or MmProbeAndLockPages comes first")
