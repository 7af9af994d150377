"""Drivers made with the framework: what they import, how large they are, what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from kernellab.build import BuildResult
from kernellab.errors import BuildError
from kernellab.target.sim.machine import pe

Make = Callable[..., BuildResult]

HELLO = """
use windows_kernel_rs::{kernel_module, println, Driver, Error, KernelModule};

struct Module;

impl KernelModule for Module {
    fn init(_: Driver, _: &str) -> Result<Self, Error> {
        println!("hello from {}", "the kernel");
        Ok(Module)
    }
    fn cleanup(&mut self, _: Driver) { println!("bye"); }
}

kernel_module!(Module);
"""

OWN_ENTRY = """
use windows_kernel_sys::{DRIVER_OBJECT, NTSTATUS, STATUS_UNSUCCESSFUL, UNICODE_STRING};

#[unsafe(no_mangle)]
pub extern "system" fn DriverEntry(_: *mut DRIVER_OBJECT, _: *mut UNICODE_STRING) -> NTSTATUS {
    STATUS_UNSUCCESSFUL
}
"""

#: A module of ``TYPE`` whose ``init`` is ``BODY``.
SKELETON = """
use windows_kernel_rs::prelude::*;
EXTRA
struct Module(TYPE);
impl KernelModule for Module {
    fn init(mut driver: Driver, path: &str) -> Result<Self, Error> {
        let _ = (&mut driver, path);
        BODY
    }
    fn cleanup(&mut self, _: Driver) {}
}
kernel_module!(Module);
"""


def _cell(body: str, kind: str = "()", extra: str = "") -> str:
    cell = SKELETON.replace("EXTRA", extra).replace("TYPE", kind)
    return cell.replace("BODY", body)


def _imports(result: BuildResult) -> dict[str, set[str]]:
    image = pe.parse(result.sys.read_bytes())
    found: dict[str, set[str]] = {}
    for item in image.imports:
        found.setdefault(item.dll.lower(), set()).update(map(str, item.symbols))
    return found


@pytest.mark.parametrize("release", [False, True])
def test_hello(make: Make, release: bool) -> None:
    result = make(HELLO, release=release)
    assert [d for d in result.diagnostics if d.level in ("warning", "error")] == []
    assert _imports(result) == {
        "ntoskrnl.exe": {
            "DbgPrintEx",
            "ExAllocatePoolWithTag",
            "ExFreePoolWithTag",
            "KeBugCheckEx",
            "KeGetCurrentIrql",
            "MmGetSystemRoutineAddress",
        }
    }
    image = pe.parse(result.sys.read_bytes())
    assert image.subsystem == 1  # IMAGE_SUBSYSTEM_NATIVE
    assert image.exports["DriverEntry"] == image.entry_point
    if release:
        assert result.size <= 16 * 1024


def test_an_entry_of_its_own(make: Make) -> None:
    result = make(OWN_ENTRY)
    assert set(_imports(result)) <= {"ntoskrnl.exe"}


def test_everything_of_the_prelude(make: Make) -> None:
    body = """
        print!("{}", 1); println!(); println!("{path} {0:?}", 2.5_f64);
        eprint!("a{{}}"); eprintln!("%s");
        let v: Vec<String> = vec![format!("{:>8}", path), "x".to_owned(), 'c'.to_string()];
        let n = dbg!(v.len() * 2) + dbg!(1, 2).1;
        check(0x103)?;
        let b = Box::new(u8::try_from(n)?);
        let status = Error::ACCESS_DENIED.to_kernel_errno();
        if *b == 77 { return Err(Error::from_kernel_errno(status)); }
        let _ = (driver.as_raw(), driver.as_raw_mut());
        Err(Error::NOT_SUPPORTED)
    """
    result = make(_cell(body))
    assert set(_imports(result)) == {"ntoskrnl.exe"}


def test_large_stack_frames_are_probed(make: Make) -> None:
    """A frame of more than a page calls `__chkstk`, wherever the toolchain takes it from."""
    body = """
        let mut frame = [0_u8; 3 * 4096];
        core::hint::black_box(&mut frame);
        Ok(Module(()))
    """
    assert set(_imports(make(_cell(body)))) == {"ntoskrnl.exe"}


@pytest.mark.parametrize(
    ("body", "kind", "extra", "message"),
    [
        ("Ok(Module(Cell::new(0)))", "Cell<u32>", "use core::cell::Cell;", "Sync"),
        ("Ok(Module(Rc::new(0)))", "Rc<u32>", "extern crate alloc; use alloc::rc::Rc;", "Send"),
        (
            "Ok(Module(core::ptr::null_mut()))",
            "*mut u8",
            "",
            "cannot be sent between threads|cannot be shared between threads",
        ),
        ("Ok(Module(path))", "&'static str", "", "lifetime|borrowed data"),
        ('println!("{}"); Ok(Module(()))', "()", "", "1 positional argument"),
        (
            "let _: Driver = Driver::from_raw(core::ptr::null_mut()); Ok(Module(()))",
            "()",
            "",
            "unsafe",
        ),
        ("Err(0)", "()", "", "mismatched types"),
    ],
)
def test_what_is_unsound_does_not_compile(
    make: Make, body: str, kind: str, extra: str, message: str
) -> None:
    with pytest.raises(BuildError) as caught:
        make(_cell(body, kind, extra))
    texts = "\n".join(d.text for d in caught.value.diagnostics)
    assert re.search(message, texts), texts
    assert all(d.line > 1 for d in caught.value.diagnostics if d.level == "error")


def test_a_module_that_is_no_module(make: Make) -> None:
    with pytest.raises(BuildError) as caught:
        make("\nuse windows_kernel_rs::kernel_module;\nstruct Module;\nkernel_module!(Module);\n")
    assert any(d.line == 4 and "KernelModule" in d.text for d in caught.value.diagnostics)
