"""What the compiler calls and no C library defines: the memory routines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import kernellab
from kernellab.build import BuildResult
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
"""


@pytest.mark.parametrize("release", [False, True])
def test_they_work(make: Make, release: bool) -> None:
    result = make(driver_source(CALLS), "memory", release=release)
    with kernellab.connect("sim") as target:
        said = target.load(result.sys).log.text
    assert said.splitlines()[:5] == [
        "4 true true",
        "true false",
        "[0, 200, 200, 200, 200, 200, 200, 200, 200, 9]",
        "Greater Greater",
        "7",
    ]


def test_a_drivers_own_goes_before(make: Make) -> None:
    own = """
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(_: *const u8, _: *const u8, _: usize) -> i32 { 0 }
#[unsafe(no_mangle)]
extern "C" fn __CxxFrameHandler3() -> i32 { 1 }
"""
    body = 'let n = core::hint::black_box(4); println!("{}", &b"abcd"[..n] == &b"efgh"[..n]);'
    result = make(driver_source(body, extra=own), "own", release=True)
    with kernellab.connect("sim") as target:
        assert target.load(result.sys).log.text.startswith("true\n")
