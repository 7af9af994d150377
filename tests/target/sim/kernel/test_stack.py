"""Kernel stacks and the guard pages below them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import kernellab
from kernellab.build import BuildResult
from kernellab.errors import Bugcheck

Build = Callable[..., BuildResult]

_EXTRA = """
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let room = core::hint::black_box([depth; 16]);
    if depth == u64::MAX { return 0; }
    recurse(depth + 1) + room[3]
}
#[inline(never)]
fn big<const N: usize>() -> u8 {
    let mut room = [0u8; N];
    core::hint::black_box(&mut room);
    room[N / 2]
}
"""


@pytest.mark.parametrize(
    "use", ["recurse(0)", "big::<30_000>()", "big::<500_000>()"], ids=["deep", "30 KB", "500 KB"]
)
def test_used_up(build_driver: Build, use: str) -> None:
    """WDK: "Using the Kernel Stack"; "Bug Check 0x7F", 8: a double fault, at any frame size."""
    image = build_driver("stack", f'println!("{{}}", {use});', extra=_EXTRA).sys
    with kernellab.connect("sim") as target, pytest.raises(Bugcheck) as info:
        target.load(image)
    assert (info.value.code, info.value.parameters[0]) == (0x7F, 8)
    assert "kernel stack" in str(info.value)


def test_nearly_used_up(build_driver: Build) -> None:
    """18 KB of 24 are no fault."""
    image = build_driver("roomy", 'println!("{}", big::<18_000>());', extra=_EXTRA).sys
    with kernellab.connect("sim") as target:
        assert list(target.load(image).log.lines) == ["0"]
