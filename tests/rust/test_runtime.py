"""What the compiler calls and no C library defines: the memory routines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import kernellab
from kernellab.build import BuildResult
from kernellab.target.sim.machine import pe
from tests.drivers import driver_source

Make = Callable[..., BuildResult]

#: `black_box` keeps the compiler from knowing the answers, or the lengths.
CALLS = """
    use core::hint::black_box;
    let mut bytes: [u8; 4000] = black_box([7; 4000]);
    for (index, byte) in bytes.iter_mut().enumerate() { *byte = index as u8; }
    let before = black_box(bytes);
    bytes.copy_within(..black_box(3990), 5);
    println!("{} {} {}", bytes[4], bytes[5..3995] == before[..3990], bytes[3995] == before[3995]);
    bytes.copy_within(black_box(5).., 0);
    println!("{} {}", bytes[..3990] == before[..3990], bytes == before);
    bytes[1..black_box(9)].fill(black_box(200));
    println!("{:?}", &bytes[..10]);
    println!("{:?} {:?}", bytes.cmp(&before), before[..100].cmp(&before[..black_box(99)]));
    let text = black_box(c"seven b");
    // SAFETY: it is a string.
    println!("{}", unsafe { core::ffi::CStr::from_ptr(text.as_ptr()) }.count_bytes());
    println!("{}", black_box(2.5) * black_box(2.0));
"""

SAID = """\
4 true true
true false
[0, 200, 200, 200, 200, 200, 200, 200, 200, 9]
Greater Greater
7
5
"""

#: A driver that has its own panic handler, and so is linked without the framework.
ALONE = """
use core::ffi::{c_char, c_void};
use core::fmt::Write;
#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" { fn DbgPrint(format: *const c_char, ...) -> u32; }
struct Text([u8; 100], usize);
impl Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0[self.1..][..text.len()].copy_from_slice(text.as_bytes());
        self.1 += text.len();
        Ok(())
    }
}
macro_rules! println { ($($arguments:tt)*) => {
    let mut text = Text([0; 100], 0);
    let _ = writeln!(text, $($arguments)*);
    unsafe { DbgPrint(c"%s".as_ptr(), text.0.as_ptr()) };
} }
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! { loop {} }
EXTRA
#[unsafe(no_mangle)]
pub extern "system" fn DriverEntry(_: *mut c_void, _: *mut c_void) -> i32 {
    BODY
    0
}
"""

#: What a driver may have of these itself.
OWN = """
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(_: *const u8, _: *const u8, _: usize) -> i32 { 0 }
#[unsafe(no_mangle)]
extern "C" fn __CxxFrameHandler3() -> i32 { 1 }
#[unsafe(no_mangle)]
static _fltused: i32 = 1;
"""


def alone(body: str, extra: str = "") -> str:
    return ALONE.replace("BODY", body).replace("EXTRA", extra)


@pytest.mark.parametrize("release", [False, True])
@pytest.mark.parametrize("source", [driver_source, alone])
def test_they_work(make: Make, source: Callable[..., str], release: bool) -> None:
    result = make(source(CALLS), "memory", release=release)
    with kernellab.connect("sim") as target:
        said = target.load(result.sys).log.text
    assert said.startswith(SAID)


@pytest.mark.parametrize("source", [driver_source, alone])
def test_a_drivers_own_goes_before(make: Make, source: Callable[..., str]) -> None:
    body = 'let n = core::hint::black_box(4); println!("{}", &b"abcd"[..n] == &b"efgh"[..n]);'
    result = make(source(body, extra=OWN), "own", release=True)
    with kernellab.connect("sim") as target:
        assert target.load(result.sys).log.text.startswith("true\n")


def test_a_driver_exports_none_of_them(make: Make) -> None:
    image = make(driver_source(CALLS), "memory", release=True).sys.read_bytes()
    assert set(pe.parse(image).exports) == {"DriverEntry"}
