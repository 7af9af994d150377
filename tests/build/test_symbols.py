"""Addresses become functions, files and lines, from what a real build made."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernellab.build import BuildResult, linker_map, pdb
from kernellab.build.symbols import Symbols, readable, short_path, symbolize
from kernellab.protocol import Frame

HELLO = (Path(__file__).parent / "hello.cell").read_text()

#: Line 9 calls a function that is inlined, which calls one that is not.
SOURCE = (
    HELLO.replace(
        "        Ok(Module)",
        "        inlined(1);\n        Ok(Module)",
    )
    + """
#[inline(always)]
fn inlined(n: u32) {
    called(n + 1);
}
#[inline(never)]
fn called(n: u32) {
    println!("{n}");
}
"""
)

CALLED = SOURCE.splitlines().index("    called(n + 1);") + 1


@pytest.fixture(scope="module")
def driver(toolchain: object) -> BuildResult:
    from kernellab.build import build
    from kernellab.crate import write_crate

    crate = write_crate("hello", SOURCE, template=Path(__file__).parent / "template")
    return build(crate)


def named(result: BuildResult, part: str) -> int:
    """The address of the one function whose linkage name has ``part`` in it."""
    (found,) = [a for a, name in linker_map.read(result.pdb).items() if part in name]
    return found


def code(result: BuildResult) -> range:
    image = result.sys.read_bytes()
    pe = struct.unpack_from("<I", image, 0x3C)[0]
    size, start = struct.unpack_from("<II", image, pe + 24 + 4)[0], 0x1000
    return range(start, start + size)


def test_names_as_rust_writes_them(driver: BuildResult) -> None:
    symbols = Symbols(driver.pdb)
    (frame,) = symbols.lookup(named(driver, "KernelModule$GT$4init"))
    assert frame.function == "<hello::Module as windows_kernel_rs::KernelModule>::init"
    assert (frame.file, frame.line, frame.inlined) == ("cell", 7, False)


def test_inlined_functions_come_first(driver: BuildResult) -> None:
    symbols = Symbols(driver.pdb)
    start = named(driver, "KernelModule$GT$4init")
    stacks = [symbols.lookup(rva) for rva in range(start, start + 200)]
    (stack,) = {
        tuple((f.function.split("::")[-1], f.file, f.line, f.inlined) for f in stack)
        for stack in stacks
        if len(stack) == 2 and stack[0].function == "hello::inlined" and stack[0].line == CALLED
    }
    assert stack == (("inlined", "cell", CALLED, True), ("init", "cell", 9, False))


CLONE = """
impl Clone for Module {
    #[inline(always)]
    fn clone(&self) -> Self { called(7); Module }
}
"""


def test_an_inlined_method_is_named_by_its_impl(make: Callable[..., BuildResult]) -> None:
    source = SOURCE.replace("inlined(1);", "let _ = Module.clone();") + CLONE
    result = make(source)
    symbols = Symbols(result.pdb)
    start = named(result, "KernelModule$GT$4init")
    inlined = {
        (stack[0].function, stack[0].line)
        for stack in map(symbols.lookup, range(start, start + 200))
        if len(stack) == 2 and stack[0].file == "cell"
    }
    line = next(n for n, text in enumerate(source.splitlines(), 1) if "fn clone" in text)
    assert inlined == {("<Module as Clone>::clone", line)}


def test_a_return_address_is_the_line_of_its_call(driver: BuildResult) -> None:
    """``init`` calls DbgPrint's helper in line 8 last: its return address may be line 9's."""
    symbols = Symbols(driver.pdb)
    start = named(driver, "KernelModule$GT$4init")
    edge = next(
        rva
        for rva in range(start + 1, start + 200)
        if symbols.lookup(rva)[-1].line == 9 and symbols.lookup(rva - 1)[-1].line == 8
    )
    frames = [Frame("0x1", "hello", named(driver, "called")), Frame("0x2", "hello", edge)]
    found = symbolize(frames, {"hello": symbols})
    assert [f.line for f in found if f.function.endswith("init")] == [8]
    inner = symbolize(frames[1:], {"hello": symbols})
    assert inner[-1].line == 9
    assert found[-1].address == "0x2" and found[-1].rva == edge and found[-1].module == "hello"


def test_every_address_has_a_function(driver: BuildResult) -> None:
    symbols = Symbols(driver.pdb)
    for rva in code(driver)[::64]:
        for frame in symbols.lookup(rva):
            assert frame.function
            assert "/root" not in frame.file and "/tmp" not in frame.file
            assert not frame.file.startswith("/") and "rustc" not in frame.file


def test_without_the_map_the_publics_do(driver: BuildResult, tmp_path: Path) -> None:
    alone = tmp_path / "hello.pdb"
    shutil.copy(driver.pdb, alone)
    symbols = Symbols(alone)
    (frame,) = symbols.lookup(named(driver, "KernelModule$GT$4init"))
    assert frame.function == "hello::{impl#0}::init" and frame.line == 7
    assert "DriverEntry" in pdb.publics(alone).values()
    assert symbols.lookup(named(driver, "DriverEntry"))[-1].function == "DriverEntry"


def test_beside(driver: BuildResult, tmp_path: Path) -> None:
    assert Symbols.beside(tmp_path / "x.sys") is None
    found = Symbols.beside(driver.sys)
    assert found is not None and found.path == driver.pdb
    (tmp_path / "my_driver.pdb").touch()
    other = Symbols.beside(tmp_path / "my-driver.sys")
    assert other is not None and other.path == tmp_path / "my_driver.pdb"


@pytest.mark.parametrize("rva", [0, 1, 0x0FFF, 1 << 31, 1 << 32, 1 << 63, -1])
def test_addresses_outside(driver: BuildResult, rva: int) -> None:
    assert all(f.line == 0 for f in Symbols(driver.pdb).lookup(rva))


def test_frames_of_others_stay(driver: BuildResult) -> None:
    frames = [Frame("0x1", "ntoskrnl.exe", 5), Frame("0x2", "hello", 0, "already known")]
    assert symbolize(frames, {"hello": Symbols(driver.pdb)}) == tuple(frames)


@pytest.mark.parametrize(
    "content", [None, b"", b"no pdb", b"Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0"]
)
def test_without_a_usable_pdb_frames_stay(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.pdb"
    if content is not None:
        path.write_bytes(content)
    frames = (Frame("0x1", "x", 0x1000),)
    assert symbolize(frames, {"x": Symbols(path)}) == frames
    assert pdb.publics(path) == {}


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_damaged_pdb_never_raises(
    driver: BuildResult, tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(driver.pdb.read_bytes())
    cut = data.draw(st.integers(0, len(content)))
    for _ in range(data.draw(st.integers(0, 20))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.pdb"
    path.write_bytes(content[:cut] if data.draw(st.booleans()) else content)
    symbols = Symbols(path)
    for rva in (0x1000, 0x1080, 0x2000):
        symbols.lookup(rva)
    pdb.publics(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hello::impl$0::init(windows_kernel_rs::Driver, ref$<str$>)", "hello::{impl#0}::init"),
        (
            "enum2$<core::option::Option<u8> >::unwrap(enum2$<core::option::Option<u8> >)",
            "core::option::Option<u8>::unwrap",
        ),
        ("core::ptr::NonNull<slice2$<u8> >::new", "core::ptr::NonNull<[u8]>::new"),
        ("hello::init::closure$1(u8)", "hello::init::{closure#1}"),
        ("core::option::Option<ref$<str$> >::is_some", "core::option::Option<&str>::is_some"),
        ("", ""),
    ],
)  # fmt: skip
def test_readable(name: str, expected: str) -> None:
    assert readable(name) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/cell", "cell"),
        ("\\cell", "cell"),
        ("/windows-kernel-rs/src/print.rs", "windows-kernel-rs/src/print.rs"),
        ("/rustc/ac68faa/library/core/src/option.rs", "core/src/option.rs"),
        ("/rustc/ac68faa/library\\alloc\\src\\vec\\mod.rs", "alloc/src/vec/mod.rs"),
        ("registry/index.crates.io-6f17d2/bitflags-2.9.0/src/lib.rs", "bitflags-2.9.0/src/lib.rs"),
        ("/windows-kernel-rs/src/registry/mod.rs", "windows-kernel-rs/src/registry/mod.rs"),
        ("/windows-kernel-rs/src/registry/a/b.rs", "windows-kernel-rs/src/registry/a/b.rs"),
        ("", ""),
    ],
)  # fmt: skip
def test_short_path(path: str, expected: str) -> None:
    assert short_path(path) == expected
