"""Small dumps: made of the simulator's dump of a real bug check, and damaged ones."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

import kernellab
from kernellab.build import BuildResult
from kernellab.errors import Bugcheck
from kernellab.target import minidump

BASE = 0xFFFF_F800_1234_0000


def triage(header: bytes, stack: list[int], modules: list[tuple[str, int, int]]) -> bytes:
    """A small dump with a full one's header, laid out as ntiodump.h has TRIAGE_DUMP64."""
    out = bytearray(header[:0x2000]) + bytes(0x100)
    struct.pack_into("<I", out, 0xF98, minidump.TRIAGE)
    strings = []
    for name, _, _ in modules:
        strings.append(len(out))
        text = f"\\SystemRoot\\drivers\\{name}"
        out += struct.pack("<I", len(text)) + text.encode("utf-16-le") + b"\0\0"
    out += bytes(-len(out) % 8)
    drivers = len(out)
    for (_, base, size), at in zip(modules, strings, strict=True):
        entry = bytearray(0xA8)
        struct.pack_into("<I", entry, 0, at)
        struct.pack_into("<Q", entry, 8 + 0x30, base)
        struct.pack_into("<I", entry, 8 + 0x40, size)
        out += entry
    stack_at = len(out)
    out += struct.pack(f"<{len(stack)}Q", *stack)
    fields = [0] * 18
    fields[3], fields[10], fields[11] = 0x348, stack_at, 8 * len(stack)
    fields[12], fields[13] = drivers, len(modules)
    struct.pack_into("<18I", out, 0x2000, *fields)
    return bytes(out)


@pytest.fixture(scope="module")
def crash(
    build_driver: Callable[..., BuildResult], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Bugcheck, bytes]:
    """A bug check of the simulator, as error and as the first pages of its dump."""
    path = tmp_path_factory.mktemp("dump") / "memory.dmp"
    bad = build_driver("boom", "unsafe { *(8 as *mut u32) = 1; }", extra="")
    with kernellab.connect("sim") as lab:
        with pytest.raises(Bugcheck) as caught:
            lab.load(bad.sys)
        lab.crash_dump(path)
    with path.open("rb") as file:
        return caught.value, file.read(0x2000)


def test_the_simulators_own_dump(crash: tuple[Bugcheck, bytes]) -> None:
    error, header = crash
    dump = minidump.parse(header)
    assert (dump.code, dump.parameters) == (error.code, error.parameters)
    event = dump.event([])
    assert (int(event.code, 16), event.name) == (error.code, error.name)
    assert dump.registers["rsp"] >> 47 == (1 << 17) - 1  # an address of the kernel
    assert event.frames == ()


def test_frames_of_our_drivers(crash: tuple[Bugcheck, bytes]) -> None:
    _, header = crash
    modules = [("ntoskrnl.exe", BASE - 0x100000, 0x80000), ("boom.sys", BASE, 0x6000)]
    stack = [0, BASE - 0x90000, BASE + 0x1010, 7, BASE + 0x2020, BASE + 0x1010, BASE + 0x6000]
    dump = minidump.parse(triage(header, stack, modules))
    assert [(m.name, m.base, m.size) for m in dump.modules] == modules
    event = dump.event(["Boom", "other"])
    assert [(f.module, f.rva) for f in event.frames] == [("Boom", 0x1010), ("Boom", 0x2020)]
    assert event.driver == "Boom"
    assert dump.event(["other"]).frames == ()


def test_damaged_dumps_end_in_one_error(crash: tuple[Bugcheck, bytes]) -> None:
    good = triage(crash[1], [BASE + 8] * 10, [("boom.sys", BASE, 0x6000)])
    for data in (b"", b"MDMP" + bytes(100), good[:100], good[:0x2010]):
        with pytest.raises(minidump.DumpError):
            minidump.parse(data)
    chance = random.Random(1)
    for _ in range(300):
        bad = bytearray(good)
        for _ in range(8):
            bad[chance.choice([*range(0x30, 0x60), *range(0x2000, len(bad))])] = chance.randrange(
                256
            )
        try:
            minidump.parse(bytes(bad)).event(["boom"])
        except minidump.DumpError:
            pass


def test_files(tmp_path: Path) -> None:
    with pytest.raises(minidump.DumpError, match="64-bit kernel"):
        minidump.parse(b"PAGEDUMP" + bytes(0x3000))
