"""Crash dumps, read by an independent parser of Windows' kernel dumps."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import kernellab
from kernellab.build import BuildResult
from kernellab.errors import Bugcheck
from kernellab.lab import Target

if sys.version_info >= (3, 13):
    pytest.skip("kdmp-parser has no wheel for this Python", allow_module_level=True)
kdmp_parser = pytest.importorskip("kdmp_parser")


@pytest.fixture
def target() -> Iterator[Target]:
    with kernellab.connect("sim") as machine:
        yield machine


def read(dump: Any, address: int, size: int) -> bytes:
    out = b""
    while size:
        page = dump.read_virtual_page(address & ~0xFFF, dump.directory_table_base)
        assert page is not None, f"{address:#x} is not in the dump"
        part = bytes(page[address & 0xFFF :][:size])
        out += part
        address, size = address + len(part), size - len(part)
    return out


def u64(dump: Any, address: int) -> int:
    value: int = struct.unpack("<Q", read(dump, address, 8))[0]
    return value


def modules(dump: Any) -> dict[str, int]:
    """Name and base of each entry of PsLoadedModuleList."""
    found, head = {}, dump.header.PsLoadedModuleList
    entry = u64(dump, head)
    while entry != head:
        length, _maximum, buffer = struct.unpack("<HH4xQ", read(dump, entry + 0x58, 16))
        found[read(dump, buffer, length).decode("utf-16-le")] = u64(dump, entry + 0x30)
        entry = u64(dump, entry)
    return found


def test_a_bug_check(
    target: Target, build_driver: Callable[..., BuildResult], tmp_path: Path
) -> None:
    image = build_driver("null", "unsafe { core::ptr::null::<u8>().read_volatile() };").sys
    with pytest.raises(Bugcheck) as caught:
        target.load(image)
    path = tmp_path / "x.dmp"
    assert target.crash_dump(path) == path.stat().st_size
    dump = kdmp_parser.KernelDumpParser(path)
    assert dump.type == kdmp_parser.DumpType.FullDump
    assert dump.header.BugCheckCode == caught.value.code == 0x7E
    parameters = [dump.header.BugCheckCodeParameter[n] for n in range(4)]
    assert parameters == list(caught.value.parameters)
    assert dump.context.Rip == caught.value.parameters[1]
    base = modules(dump)["null.sys"]
    assert read(dump, base, 2) == b"MZ"
    assert base < dump.context.Rip < base + image.stat().st_size + 0x10000
    code = read(dump, dump.context.Rip, 2)
    assert code != bytes(2)
    # The stack is there too: the return address of DriverEntry's caller can be read.
    assert read(dump, dump.context.Rsp, 64)


def test_a_running_machine(target: Target, hello: Path, tmp_path: Path) -> None:
    target.load(hello)
    path = tmp_path / "live.dmp"
    target.crash_dump(path)
    dump = kdmp_parser.KernelDumpParser(path)
    assert dump.header.BugCheckCode == 0
    assert {"hello.sys", "ntoskrnl.exe"} <= modules(dump).keys()
    target.drivers["hello"].unload()
    target.crash_dump(path)
    assert "hello.sys" not in modules(kdmp_parser.KernelDumpParser(path))


def test_nothing_is_left_where_it_cannot_be_written(target: Target, tmp_path: Path) -> None:
    with pytest.raises(OSError):
        target.crash_dump(tmp_path / "no" / "x.dmp")
    assert list(tmp_path.iterdir()) == []
    assert target.status()["state"] == "running"
