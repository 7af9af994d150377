"""What tests of threads and locks share: statics and helpers in Rust, and runs on any seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import kernellab
from kernellab.build import BuildResult
from kernellab.target.sim import exports, verify
from kernellab.target.sim.kernel import driver as drivers
from kernellab.target.sim.kernel.kernel import Kernel

Build = Callable[..., BuildResult]

#: ``obj(n)`` is the address of one of 16 zeroed blocks of 256 bytes, aligned to 16.
PRELUDE = """
use core::ffi::c_void;
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering};
use windows_kernel_rs::sys::*;

#[repr(C, align(16))]
struct Blocks([[u8; 256]; 16]);
static mut BLOCKS: Blocks = Blocks([[0; 256]; 16]);
static COUNT: AtomicU32 = AtomicU32::new(0);
static FLAG: AtomicUsize = AtomicUsize::new(0);
static TIME: AtomicI64 = AtomicI64::new(0);

fn obj<T>(n: usize) -> *mut T { unsafe { (&raw mut BLOCKS.0[n]).cast() } }
type Routine = unsafe extern "system" fn(*mut c_void);
fn spawn(routine: Routine, context: usize) -> *mut c_void {
    let mut handle: HANDLE = null_mut();
    let mut object = null_mut();
    unsafe {
        let status = PsCreateSystemThread(&mut handle, 0x1FFFFF, null(), null_mut(), null_mut(),
            Some(routine), context as *mut c_void);
        assert!(status == 0);
        assert!(ObReferenceObjectByHandle(handle, 0x1FFFFF, 0, 0, &mut object, null_mut()) == 0);
        ZwClose(handle);
    }
    object
}
fn wait<T>(object: *mut T) -> i32 {
    unsafe { KeWaitForSingleObject(object.cast(), 0, 0, 0, null()) }
}
fn wait_ms<T>(object: *mut T, ms: i64) -> i32 {
    let timeout = -10_000 * ms;
    unsafe { KeWaitForSingleObject(object.cast(), 0, 0, 0, &raw const timeout) }
}
fn sleep(ms: i64) {
    let interval = -10_000 * ms;
    unsafe { KeDelayExecutionThread(0, 0, &raw const interval); }
}
fn join(thread: *mut c_void) {
    wait(thread);
    unsafe { ObfDereferenceObject(thread); }
}
/// A routine as whatever callback type is wanted.
fn cast<T>(routine: *const ()) -> T {
    assert!(size_of::<T>() == 8);
    unsafe { core::mem::transmute_copy(&routine) }
}
fn irql() -> u8 { unsafe { KeGetCurrentIrql() } }
"""

_ALLOW = "#![allow(dead_code, unused_imports, unused_variables, static_mut_refs)]"


def prelude(extra: str = "") -> str:
    """The helpers and ``extra``, in a module of its own so that nothing unused is reported."""
    return (
        f"mod helpers {{ {_ALLOW} pub use super::*; {_public(PRELUDE)} }}\n"
        f"#[allow(unused_imports)] use helpers::*;\n{extra}"
    )


def _public(source: str) -> str:
    return "\n".join(
        f"pub {line}" if line.startswith(("fn ", "static ", "type ", "use ")) else line
        for line in source.splitlines()
    )


@dataclass
class Run:
    """What one run gave: the log's lines and the rules that were broken."""

    lines: list[str]
    rules: list[str]


def run(build: Build, name: str, body: str, extra: str = "", **options: Any) -> Run:
    """Load and unload a driver. (That another run is the same is tested for all: see seeds.py.)"""
    image = build(name, f"unsafe {{ {body} }}", extra=prelude(extra)).sys
    with kernellab.connect("sim", **options) as target:
        driver = target.load(image)
        driver.unload()
        return Run(list(driver.log.lines), [v.rule for v in target.violations])


def outcomes(
    build: Build, name: str, body: str, extra: str = "", *, seeds: Sequence[int] = range(20)
) -> list[list[str]]:
    """The lines under each seed, on 1, 2 and 4 processors in turn."""
    image = build(name, f"unsafe {{ {body} }}", extra=prelude(extra)).sys.read_bytes()
    return [_boot_and_run(name, image, seed) for seed in seeds]


def _boot_and_run(name: str, image: bytes, seed: int) -> list[str]:
    """In this process, which starts faster than the simulator's own does."""
    text = ""
    broken = []

    def event(kind: str, fields: dict[str, Any]) -> None:
        nonlocal text
        if kind == "dbgprint":
            text += fields["text"]
        elif kind == "violation":
            broken.append(fields["message"])

    k = Kernel(exports.table(), event, seed=seed, processors=(1, 2, 4)[seed % 3])
    verify.attach(k, "on")
    driver = drivers.load(k, name, image)
    assert k.run(drivers.IopLoadDriver(k, driver), "IopLoadDriver") == 0
    k.run(drivers.IopUnloadDriver(k, driver), "IopUnloadDriver")
    drivers.remove(k, driver)
    assert not broken
    return text.splitlines()
