"""The parser and the unwinder on a driver that Rust compiled and lld linked."""

from __future__ import annotations

import random
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from kernellab.build import build
from kernellab.crate import write_crate
from kernellab.errors import LoadError, ToolchainError
from kernellab.target.sim.machine import pe
from kernellab.target.sim.machine.unwind import REGISTERS, ModuleImage, unwind

unicorn: Any = pytest.importorskip("unicorn")
x86_const: Any = pytest.importorskip("unicorn.x86_const")

SOURCE = Path(__file__).with_name("deep_driver.rs")
BASE = 0x1_8000_0000
STUBS = 0x7000_0000
HEAP = 0x6000_0000
STACK = 0x5000_0000
STACK_SIZE = 0x10_0000
END = STUBS + 0xFF0


@pytest.fixture(scope="module", params=[False, True], ids=["debug", "release"])
def driver(request: pytest.FixtureRequest) -> bytes:
    try:
        built = build(write_crate("deep_driver", SOURCE.read_text()), release=request.param)
    except ToolchainError as error:
        pytest.skip(f"no Rust for drivers here: {error}")
    return built.sys.read_bytes()


def test_parts_of_a_real_image(driver: bytes) -> None:
    image = pe.parse(driver)
    names = {s.name for s in image.sections}
    assert {".text", ".rdata", ".pdata"} <= names
    (imported,) = [i for i in image.imports if i.dll.lower() == "ntoskrnl.exe"]
    wanted = {"DbgPrint", "ExAllocatePoolWithTag", "__chkstk"}
    assert wanted <= {symbol.name for symbol in imported.symbols}
    assert image.relocations and not image.relocations_stripped
    assert image.codeview is not None and image.codeview.pdb.endswith(".pdb")
    assert image.exception_size >= 12 * 20
    assert image.checksum == image.computed_checksum()
    assert image.section_at(image.entry_point) == image.sections[0]
    moved = image.rebased(0xFFFFF805_20000000)
    (rva, _kind) = image.relocations[0]
    assert struct.unpack_from("<Q", moved, rva)[0] - 0xFFFFF805_20000000 == (
        struct.unpack_from("<Q", image.image(), rva)[0] - image.image_base
    )


def test_parsing_is_fast(driver: bytes) -> None:
    pe.parse(driver)
    started = time.process_time()
    for _ in range(20):
        pe.parse(driver).rebased(BASE)
    assert (time.process_time() - started) / 20 < 0.02


def test_mutations_of_a_real_image(driver: bytes) -> None:
    chance = random.Random(len(driver) // 0x10000)
    values = [0, 1, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFF000, 0x1000, 0x10000000]
    refused = 0
    for _ in range(3000):
        data = bytearray(driver)
        for _ in range(chance.choice((1, 1, 2, 3, 8))):
            limit = 0x400 if chance.random() < 0.6 else len(data) - 4
            place = chance.randrange(limit) & ~3
            kind = chance.random()
            if kind < 0.4:
                data[place] = chance.randrange(256)
            elif kind < 0.7:
                data[place : place + 4] = chance.choice(values).to_bytes(4, "little")
            elif kind < 0.95:
                data[place : place + 4] = chance.randrange(0x9000).to_bytes(4, "little")
            else:
                del data[max(place, 0x400) :]
                break
        started = time.process_time()
        try:
            image = pe.parse(bytes(data))
            assert image.size_of_image <= pe.MAX_IMAGE
            if image.size_of_image < 4 << 20:
                image.rebased(BASE)
        except LoadError:
            refused += 1
        assert time.process_time() - started < 0.5
    assert 500 < refused < 2900


class Run:
    """DriverEntry instruction by instruction, with a call stack kept by its calls and returns."""

    def __init__(self, driver: bytes, every: int) -> None:
        image = pe.parse(driver)
        self.module = ModuleImage.from_pe("deep", BASE, image)
        memory = bytearray(image.rebased(BASE))
        self.every = every
        self.names: dict[int, str] = {}
        for imported in image.imports:
            for symbol in imported.symbols:
                stub = STUBS + 16 * len(self.names)
                self.names[stub] = symbol.name
                struct.pack_into("<Q", memory, symbol.iat_rva, stub)
        self.engine = engine = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        for start, size in ((STUBS, 0x1000), (HEAP, 0x80_0000), (STACK, STACK_SIZE)):
            engine.mem_map(start, size)
        engine.mem_map(BASE, len(memory))
        engine.mem_write(BASE, bytes(memory))
        engine.mem_write(STUBS, b"\xc3" * 0x1000)
        self.numbers = [
            getattr(x86_const, f"UC_X86_REG_{name.upper()}") for name in (*REGISTERS, "rip")
        ]
        self.heap = HEAP
        self.printed = b""
        self.steps = self.checks = self.deepest = 0
        self.was_call = False
        self.wrong: list[str] = []
        rsp = STACK + STACK_SIZE - 0x108
        engine.mem_write(rsp, struct.pack("<Q", END))
        engine.reg_write(x86_const.UC_X86_REG_RSP, rsp)
        self.calls = [(rsp, END)]
        engine.hook_add(unicorn.UC_HOOK_CODE, self.step)
        engine.emu_start(BASE + image.entry_point, END, count=600_000)

    def read(self, address: int, size: int) -> bytes | None:
        try:
            return bytes(self.engine.mem_read(address, size))
        except unicorn.UcError:
            return None

    def step(self, engine: Any, address: int, size: int, _data: object) -> None:
        rsp = engine.reg_read(x86_const.UC_X86_REG_RSP)
        if self.was_call:
            self.calls.append((rsp, struct.unpack("<Q", engine.mem_read(rsp, 8))[0]))
        while self.calls and rsp > self.calls[-1][0]:
            self.calls.pop()
        code = bytes(engine.mem_read(address, size))
        plain = code[1:] if code[0] == 0x41 or 0x48 <= code[0] <= 0x4F else code
        self.was_call = plain[0] == 0xE8 or (plain[0] == 0xFF and plain[1] >> 3 & 7 == 2)
        if address in self.names:
            self.imported(self.names[address])
        self.steps += 1
        if self.steps % self.every == 0:
            self.check(address)

    def imported(self, name: str) -> None:
        rdx = self.engine.reg_read(x86_const.UC_X86_REG_RDX)
        if name.startswith("ExAllocatePool"):
            self.engine.reg_write(x86_const.UC_X86_REG_RAX, self.heap)
            self.heap += rdx + 31 & ~15
        elif name == "DbgPrint":
            self.printed = bytes(self.engine.mem_read(rdx, 400)).split(b"\0")[0]

    def check(self, address: int) -> None:
        context = {
            name: self.engine.reg_read(number)
            for name, number in zip((*REGISTERS, "rip"), self.numbers, strict=True)
        }
        context["rip"] = address
        found = unwind(context, [self.module], self.read, stack=(STACK, STACK + STACK_SIZE))
        got = [frame.address for frame in found[1:]]
        # The last return address leads out of the driver, where a walk ends.
        expected = [place for _, place in reversed(self.calls)][:-1]
        self.checks += 1
        self.deepest = max(self.deepest, len(got))
        if got != expected and len(self.wrong) < 5:
            self.wrong.append(
                f"at {address - BASE:#x}: {[hex(a - BASE) for a in got]}, "
                f"not {[hex(a - BASE) for a in expected]}"
            )


def test_call_stacks_at_any_instruction(driver: bytes) -> None:
    run = Run(driver, every=11)
    assert run.wrong == []
    assert run.printed.startswith(b'{0: "11    33 b", 1: "8    24 8"')
    assert run.checks > 2000
    assert run.deepest > 15
