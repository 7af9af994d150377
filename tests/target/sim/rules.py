"""Drivers that break a rule, or do the like without breaking it, by the name they are loaded as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from kernellab.build import BuildResult
from kernellab.driver import Driver
from kernellab.errors import KernelLabError
from kernellab.lab import Target
from kernellab.protocol import Violation
from kernellab.sources import build_text

#: ENTRY runs in DriverEntry, UNLOAD in DriverUnload, IO for each device control request with
#: ``irp`` and ``location``, which it has to complete. ``bad()`` says how it was loaded.
DRIVER: Final = """\
#![allow(dead_code, unused_imports, unused_variables, static_mut_refs)]
use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::{addr_of_mut, null, null_mut};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use windows_kernel_rs::println;
use windows_kernel_sys::*;

static BAD: AtomicBool = AtomicBool::new(false);
fn bad() -> bool { BAD.load(Ordering::Relaxed) }

const TAG: u32 = u32::from_le_bytes(*b"Rule");
fn pool(size: usize) -> *mut u8 {
    unsafe { ExAllocatePool2(POOL_FLAG_NON_PAGED as _, size as _, TAG).cast() }
}

static KEEP: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
static mut LOCKS: [usize; 4] = [0; 4];
fn lock(n: usize) -> *mut usize { unsafe { addr_of_mut!(LOCKS[n]) } }
static mut EVENT: MaybeUninit<KEVENT> = MaybeUninit::zeroed();
fn event() -> *mut KEVENT { (&raw mut EVENT).cast() }
static mut TIMER: MaybeUninit<KTIMER> = MaybeUninit::zeroed();
fn timer() -> *mut KTIMER { (&raw mut TIMER).cast() }
static mut DPC: MaybeUninit<KDPC> = MaybeUninit::zeroed();
fn dpc() -> *mut KDPC { (&raw mut DPC).cast() }

/// Start a thread; its object, which has to be dereferenced.
unsafe fn spawn(routine: unsafe extern "system" fn(*mut c_void)) -> *mut c_void {
    unsafe {
        let (mut handle, mut object) = (null_mut(), null_mut());
        let status = PsCreateSystemThread(&mut handle, 0x1FFFFF, null(), null_mut(), null_mut(),
            Some(routine), null_mut());
        assert!(status == 0);
        ObReferenceObjectByHandle(handle, 0x1FFFFF, 0 as _, 0, &mut object, null_mut());
        ZwClose(handle);
        object
    }
}

unsafe fn join(thread: *mut c_void) {
    unsafe {
        KeWaitForSingleObject(thread, 0, 0, 0, null());
        ObfDereferenceObject(thread);
    }
}

const fn wide<const N: usize>(text: &[u8; N]) -> [u16; N] {
    let mut out = [0; N];
    let mut at = 0;
    while at < N { out[at] = text[at] as u16; at += 1; }
    out
}
static DEVICE: [u16; 12] = wide(b"\\\\Device\\\\Rule");
static LINK: [u16; 8] = wide(b"\\\\??\\\\Rule");
fn name(text: &'static [u16]) -> UNICODE_STRING {
    let size = (text.len() * 2) as u16;
    UNICODE_STRING { Length: size, MaximumLength: size, Buffer: text.as_ptr().cast_mut() }
}

unsafe fn complete(irp: *mut IRP, status: NTSTATUS, information: usize) -> NTSTATUS {
    unsafe {
        (*irp).IoStatus.Anonymous.Status = status;
        (*irp).IoStatus.Information = information as _;
        IofCompleteRequest(irp, 0);
    }
    status
}

#[unsafe(no_mangle)]
pub unsafe extern "system" fn DriverEntry(
    driver: *mut DRIVER_OBJECT,
    path: *mut UNICODE_STRING,
) -> NTSTATUS {
    unsafe {
        let path = core::slice::from_raw_parts((*path).Buffer, (*path).Length as usize / 2);
        BAD.store(path.ends_with(&wide(b"\\\\bad")), Ordering::Relaxed);
        (*driver).DriverUnload = Some(unload);
        DEVICES
        ENTRY
    }
    0
}

unsafe extern "system" fn unload(driver: *mut DRIVER_OBJECT) {
    unsafe {
        UNLOAD
    }
}
EXTRA
"""

_DEVICES: Final = """
        for major in [IRP_MJ_CREATE, IRP_MJ_CLEANUP, IRP_MJ_CLOSE, IRP_MJ_DEVICE_CONTROL,
            IRP_MJ_READ] {
            (*driver).MajorFunction[major as usize] = Some(dispatch);
        }
        let mut device = null_mut();
        IoCreateDevice(driver, 0, &name(&DEVICE), FILE_DEVICE_UNKNOWN, 0, 0, &mut device);
        (*device).Flags |= DO_BUFFERED_IO;
        IoCreateSymbolicLink(&name(&LINK), &name(&DEVICE));
"""

_GONE: Final = """
        IoDeleteSymbolicLink(&name(&LINK));
        while !(*driver).DeviceObject.is_null() { IoDeleteDevice((*driver).DeviceObject); }
"""

_DISPATCH: Final = """
unsafe extern "system" fn dispatch(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    unsafe {
        let location = (*irp).Tail.Overlay.Anonymous2.Anonymous.CurrentStackLocation;
        if (*location).MajorFunction != IRP_MJ_DEVICE_CONTROL as u8 {
            return complete(irp, 0, 0);
        }
        let buffer = (*irp).AssociatedIrp.SystemBuffer.cast::<u8>();
        IO
    }
}
"""


@dataclass
class Found:
    """What came of the driver that breaks a rule."""

    violations: list[Violation]
    error: KernelLabError | None
    target: Target
    source: str

    @property
    def only(self) -> Violation:
        """The one violation there has to be."""
        assert len(self.violations) == 1, (self.violations, self.error)
        return self.violations[0]

    def line(self, mark: str = "bad") -> int:
        """The line of the driver that ends in ``// @mark``."""
        lines = self.source.splitlines()
        return next(n for n, line in enumerate(lines, 1) if line.endswith(f"// @{mark}"))

    def shows(self, mark: str = "bad") -> bool:
        """Whether the violation's stack has the marked line."""
        return self.line(mark) in [frame.line for frame in self.only.frames]

    def related(self, mark: str) -> str:
        """The label of the violation's second stack that has the marked line."""
        line = self.line(mark)
        stacks = self.only.related
        return next((s.label for s in stacks if line in [f.line for f in s.frames]), "")


class Check:
    """Runs a driver twice: as ``good``, which must be clean, and as ``bad``."""

    def __init__(self, target: Target, name: str) -> None:
        self.target = target
        self.name = name

    def source(self, entry: str = "", unload: str = "", *, io: str = "", extra: str = "") -> str:
        """The text of a driver."""
        source = DRIVER.replace("DEVICES", _DEVICES if io else "")
        source = source.replace("ENTRY", entry)
        source = source.replace("UNLOAD", unload + (_GONE if io else ""))
        source = source.replace("EXTRA", extra)
        if io:
            source += _DISPATCH.replace("        IO\n", f"        {io}\n")
        return source

    def start(self, source: str, *, release: bool = False) -> Driver:
        """Load a driver as the good one, on a machine of its own."""
        target = self.target
        target.reboot()
        target.drivers.clear()
        target.violations.clear()
        return target.load(build_text(self.name, source, release=release).sys, name="good")

    def __call__(
        self, entry: str = "", unload: str = "", *, io: str = "", extra: str = "", **asked: Any
    ) -> Found:
        source = self.source(entry, unload, io=io, extra=extra)
        built = build_text(self.name, source)
        error = self._run(built, "good", bool(io), **asked)
        assert error is None, f"the good driver failed: {error}"
        assert self.target.violations == [], "a false alarm"
        error = self._run(built, "bad", bool(io), **asked)
        return Found(list(self.target.violations), error, self.target, source)

    def _run(
        self,
        built: BuildResult,
        name: str,
        device: bool,
        *,
        code: int = 0x222000,
        given: bytes = b"",
        room: int = 0,
        timeout: float | None = None,
    ) -> KernelLabError | None:
        target = self.target
        target.reboot()
        target.drivers.clear()
        target.violations.clear()
        try:
            driver = target.load(built.sys, name=name, timeout=timeout)
            if device:
                with target.open(r"\\.\Rule") as handle:
                    handle.ioctl(code, given, out_size=room)
            driver.unload()
            target.sleep(0.01)
        except KernelLabError as error:
            return error
        return None
