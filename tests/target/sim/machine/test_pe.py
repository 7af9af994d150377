"""The PE parser against images made here byte by byte, and against mutations of them."""

from __future__ import annotations

import random
import struct
import time
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernellab.errors import LoadError
from kernellab.target.sim.machine import pe

BASE = 0x1_4000_0000
PE_AT = 0x80
OPTIONAL = PE_AT + 24
TABLE = OPTIONAL + 240
TEXT, RDATA, DATA, PDATA, RELOC = 0x1000, 0x2000, 0x3000, 0x4000, 0x5000


@dataclass
class Builder:
    """A driver image with one of everything; tests change a field, then build."""

    machine: int = 0x8664
    subsystem: int = 1
    characteristics: int = 0x22
    magic: int = 0x20B
    entry: int = TEXT + 0x10
    alignment: int = 0x1000
    size_of_image: int = 0x6000
    directories: dict[int, tuple[int, int]] = field(default_factory=dict)
    sections: list[list[int]] = field(default_factory=list)
    relocs: bytes = b""
    poke: dict[int, bytes] = field(default_factory=dict)

    def build(self) -> bytes:
        text = b"\xcc" * 0x10 + b"\x31\xc0\xc3" + bytes(0x1ED)
        rdata = bytearray(0x400)
        # Import directory at +0: one module, two names and an ordinal; the second is the end.
        struct.pack_into("<5I", rdata, 0, RDATA + 0x40, 0, 0, RDATA + 0xC0, RDATA + 0x80)
        thunks = (RDATA + 0xD0, RDATA + 0xE0, 1 << 63 | 7, 0)
        struct.pack_into("<4Q", rdata, 0x40, *thunks)
        struct.pack_into("<4Q", rdata, 0x80, *thunks)
        rdata[0xC0:0xCD] = b"ntoskrnl.exe\0"
        rdata[0xD0:0xDB] = b"\x05\0DbgPrint\0"
        rdata[0xE0:0xEC] = b"\0\0IofCallXX\0"
        # Export directory at +0x100: DriverEntry and a forwarder.
        struct.pack_into(
            "<IIHHIIIIIII", rdata, 0x100, 0, 0, 0, 0, RDATA + 0x160, 1, 2, 2,
            RDATA + 0x130, RDATA + 0x140, RDATA + 0x150,
        )  # fmt: skip
        struct.pack_into("<II", rdata, 0x130, self.entry, RDATA + 0x170)
        struct.pack_into("<II", rdata, 0x140, RDATA + 0x180, RDATA + 0x190)
        struct.pack_into("<HH", rdata, 0x150, 0, 1)
        rdata[0x160:0x16A] = b"hello.sys\0"
        rdata[0x170:0x17B] = b"HAL.Forward"
        rdata[0x180:0x18C] = b"DriverEntry\0"
        rdata[0x190:0x19A] = b"Forwarded\0"
        # Load configuration at +0x200, debug directory at +0x300, its record at +0x340.
        struct.pack_into("<I", rdata, 0x200, 0x94)
        struct.pack_into("<Q", rdata, 0x200 + 0x58, BASE + DATA + 8)
        struct.pack_into("<I", rdata, 0x200 + 0x90, 0x100)
        record = b"RSDS" + bytes(range(16)) + struct.pack("<I", 3) + b"C:\\hello.pdb\0"
        struct.pack_into("<IIHHIIII", rdata, 0x300, 0, 0, 0, 0, 2, len(record), RDATA + 0x340, 0)
        rdata[0x340 : 0x340 + len(record)] = record
        data = struct.pack("<QQ", BASE + TEXT, 0x2B992DDFA232) + bytes(0x1F0)
        pdata = struct.pack("<III", TEXT + 0x10, TEXT + 0x13, RDATA + 0x3F0).ljust(0x200, b"\0")
        relocs = self.relocs or struct.pack("<IIHH", DATA, 12, 10 << 12, 0)
        bodies = [text, bytes(rdata), data, pdata, relocs.ljust(0x200, b"\0")]
        headers = [
            [TEXT, 0x200, 0x60000020],
            [RDATA, 0x400, 0x40000040],
            [DATA, 0x800, 0xC0000040],
            [PDATA, 12, 0x40000040],
            [RELOC, 0x200, 0x42000040],
        ]
        names = [b".text", b".rdata", b".data", b".pdata", b".reloc"]
        for index, change in enumerate(self.sections):
            headers[index] = change or headers[index]
        directories = {
            0: (RDATA + 0x100, 0x80),
            1: (RDATA, 40),
            3: (PDATA, 12),
            5: (RELOC, len(relocs)),
            6: (RDATA + 0x300, 28),
            10: (RDATA + 0x200, 0x94),
        } | self.directories
        out = bytearray(0x400)
        out[:2] = b"MZ"
        struct.pack_into("<I", out, 60, PE_AT)
        struct.pack_into(
            "<4sHHIIIHH", out, PE_AT, b"PE\0\0", self.machine, 5, 0x5F5E100, 0, 0, 240,
            self.characteristics,
        )  # fmt: skip
        struct.pack_into("<H", out, OPTIONAL, self.magic)
        struct.pack_into(
            "<I4xQII", out, OPTIONAL + 16, self.entry, BASE, self.alignment,
            min(0x200, self.alignment),
        )  # fmt: skip
        struct.pack_into(
            "<IIIHH", out, OPTIONAL + 56, self.size_of_image, 0x400, 0, self.subsystem, 0x140
        )
        struct.pack_into("<I", out, OPTIONAL + 108, 16)
        for index, pair in directories.items():
            struct.pack_into("<II", out, OPTIONAL + 112 + index * 8, *pair)
        offset = 0x400
        for index, (name, (rva, size, flags), body) in enumerate(
            zip(names, headers, bodies, strict=True)
        ):
            struct.pack_into(
                "<8s4I12xI", out, TABLE + index * 40, name, size, rva, len(body), offset, flags
            )
            offset += len(body)
        out += b"".join(bodies)
        for place, raw in self.poke.items():
            out[place : place + len(raw)] = raw
        return bytes(out)


GOOD = Builder().build()


def test_every_part_of_a_good_image() -> None:
    image = pe.parse(GOOD)
    assert (image.machine, image.subsystem, image.is_dll) == (0x8664, 1, False)
    assert (image.image_base, image.size_of_image, image.entry_point) == (BASE, 0x6000, TEXT + 0x10)
    assert [s.name for s in image.sections] == [".text", ".rdata", ".data", ".pdata", ".reloc"]
    text, rdata, data, _pdata, reloc = image.sections
    assert text.executable and text.readable and not text.writable and not text.discardable
    assert not rdata.executable and not rdata.writable
    assert data.writable and data.virtual_size == 0x800 and data.raw_size == 0x200
    assert reloc.discardable and not reloc.shared and not reloc.nonpaged and not reloc.pageable
    (imported,) = image.imports
    assert imported.dll == "ntoskrnl.exe"
    assert [(str(s), s.iat_rva, s.hint) for s in imported.symbols] == [
        ("DbgPrint", RDATA + 0x80, 5),
        ("IofCallXX", RDATA + 0x88, 0),
        ("#7", RDATA + 0x90, 0),
    ]
    assert image.exports == {"DriverEntry": TEXT + 0x10}
    assert image.export_directory.forwarders == {"Forwarded": "HAL.Forward"}
    assert image.export_directory.ordinals == {1: TEXT + 0x10}
    assert image.relocations == ((DATA, 10),)
    assert image.security_cookie == DATA + 8
    assert image.load_config.guard_flags == 0x100
    assert image.codeview is not None
    assert image.codeview.pdb == "C:\\hello.pdb"
    assert image.codeview.guid == "03020100-0504-0706-0809-0a0b0c0d0e0f"
    assert image.codeview.debug_id == "030201000504070608090A0B0C0D0E0F3"
    assert (image.exception_rva, image.exception_size) == (PDATA, 12)
    assert image.section_at(DATA + 0x7FF) is data
    assert image.section_at(DATA + 0x800) is None


def test_mapped_layout_is_headers_and_sections_and_zero() -> None:
    mapped = pe.parse(GOOD).image()
    assert len(mapped) == 0x6000
    assert mapped[:2] == b"MZ" and mapped[0x400:0x1000] == bytes(0xC00)
    assert mapped[TEXT + 0x10 : TEXT + 0x13] == b"\x31\xc0\xc3"
    assert struct.unpack_from("<Q", mapped, DATA) == (BASE + TEXT,)
    assert not any(mapped[DATA + 0x200 : PDATA])


def test_rebasing_moves_addresses_and_the_base_in_the_header() -> None:
    image = pe.parse(GOOD)
    assert image.rebased(BASE) == bytes(image.image())
    moved = image.rebased(0xFFFFF800_12340000)
    assert struct.unpack_from("<Q", moved, DATA) == (0xFFFFF800_12340000 + TEXT,)
    assert struct.unpack_from("<Q", moved, OPTIONAL + 24) == (0xFFFFF800_12340000,)
    changed = [i for i, (a, b) in enumerate(zip(moved, image.image(), strict=True)) if a != b]
    assert set(changed) <= set(range(DATA, DATA + 8)) | set(range(OPTIONAL + 24, OPTIONAL + 32))
    with pytest.raises(ValueError, match="page address"):
        image.rebased(0x123)


def test_a_32_bit_relocation_keeps_its_width() -> None:
    relocs = struct.pack("<IIHH", DATA, 12, 3 << 12 | 4, 10 << 12)
    image = pe.parse(Builder(relocs=relocs).build())
    moved = image.rebased(BASE + 0x10000)
    # The high half (1) plus the delta by the first entry, then the whole by the second.
    assert struct.unpack_from("<Q", moved, DATA)[0] == BASE + TEXT + 0x10000 + (0x10000 << 32)


def test_an_image_without_relocations_stays_where_it_is() -> None:
    image = pe.parse(Builder(characteristics=0x23, directories={5: (0, 0)}).build())
    assert image.relocations_stripped
    assert len(image.rebased(BASE)) == 0x6000
    with pytest.raises(LoadError, match="without /FIXED"):
        image.rebased(BASE + 0x10000)


def test_checksum_ignores_its_own_field() -> None:
    image = pe.parse(GOOD)
    value = image.computed_checksum()
    stored = Builder(poke={OPTIONAL + 64: struct.pack("<I", value)}).build()
    again = pe.parse(stored)
    assert again.checksum == value == again.computed_checksum()
    assert pe.parse(GOOD[:-1] + b"\x01").computed_checksum() != value


U32 = struct.Struct("<I").pack


@pytest.mark.parametrize(
    ("builder", "sentence"),
    [
        (Builder(machine=0x14C), "32-bit x86"),
        (Builder(machine=0xAA64), "ARM64"),
        (Builder(machine=0x1234), "0x1234"),
        (Builder(magic=0x10B), "PE32"),
        (Builder(magic=0x107), "not that of a PE32"),
        (Builder(subsystem=3), "console.*SUBSYSTEM:NATIVE"),
        (Builder(subsystem=2), "GUI"),
        (Builder(subsystem=11), "EFI"),
        (Builder(subsystem=99), "99"),
        (Builder(characteristics=0x20), "not executable"),
        (Builder(entry=0), "no entry point"),
        (Builder(entry=DATA), r"section \.data, which is not executable"),
        (Builder(entry=0x999999), "outside its sections"),
        (Builder(alignment=0x20), "less than a page"),
        (Builder(alignment=0x1800), "power of two"),
        (Builder(size_of_image=0x5000), "beyond the image's size"),
        (Builder(size_of_image=0x7FFFFFFF), "when mapped"),
        (Builder(poke={OPTIONAL + 24: b"\x01"}), "64 KB"),
        (Builder(poke={OPTIONAL + 36: U32(0x2000)}), "larger than its section"),
        (Builder(poke={OPTIONAL + 60: U32(0)}), "headers' size"),
        (Builder(poke={OPTIONAL + 60: U32(0x5000)}), "truncated"),
        (Builder(poke={PE_AT + 6: b"\0\0"}), "0 sections"),
        (Builder(poke={PE_AT + 6: b"\xff\0"}), "255 sections"),
        (Builder(poke={PE_AT + 6: b"\x40\0"}), "truncated image.*section table"),
        (Builder(poke={PE_AT + 20: b"\x70\0"}), "too short for its directories"),
        (Builder(poke={60: U32(0x7FFFFFFF)}), "truncated"),
        (Builder(poke={60: U32(0x82)}), "DOS program"),
        (Builder(poke={PE_AT: b"NE"}), "16-bit"),
        (Builder(poke={PE_AT: b"XX"}), "DOS program"),
        (Builder(sections=[[TEXT, 0x1001, 0x60000020]]), "overlaps"),
        (Builder(sections=[[], [0x3000, 0x400, 0x40000040]]), "gap"),
        (Builder(sections=[[0, 0x200, 0x60000020]]), "overlaps"),
        (Builder(poke={TABLE + 16: U32(0x10000)}), r"within section \.text"),
        (Builder(poke={TABLE + 20: U32(0xFFFFFE00)}), r"within section \.text"),
        (Builder(poke={TABLE + 20: U32(0x401)}), "multiple of 512"),
        (Builder(poke={TABLE + 8: bytes(16)}), "empty"),
        (Builder(directories={1: (0x99999, 40)}), "import directory"),
        (Builder(directories={13: (RDATA, 40)}), "DELAYLOAD"),
        (Builder(directories={14: (RDATA, 40)}), ".NET"),
        (Builder(directories={3: (PDATA, 0x100000)}), "function table"),
        (Builder(directories={5: (RELOC, 0x10000)}), "relocation table"),
        (Builder(directories={10: (RELOC + 0x1F0, 0x94)}), "load configuration"),
        (Builder(poke={0x600: U32(0x999999)}), "imported from"),
        (Builder(poke={0x600 + 16: U32(0x999999)}), "import address table"),
        (Builder(poke={0x600 + 12: U32(0x999999)}), "imported module"),
        (Builder(poke={0x6C0: b"\0"}), "not a printable name"),
        (Builder(poke={0x6D2: b"\x1b"}), "not a printable name"),
        (Builder(poke={0x6D2: b"\xff"}), "not a printable name"),
        (Builder(poke={0x640: struct.pack("<Q", 0x999999)}), "outside its sections"),
        (Builder(poke={0x640: struct.pack("<Q", 1 << 62)}), "outside its sections"),
        (Builder(poke={0x640: struct.pack("<Q", 1 << 63 | 0x10000)}), "bad ordinal"),
        (Builder(poke={0x640: struct.pack("<Q", RDATA + 0x3FB), 0x9FD: b"abc"}), "terminated"),
        (Builder(poke={0x700 + 20: U32(0xFFFFFFFF)}), "exported functions"),
        (Builder(poke={0x730: U32(0x999999)}), "exported function 1"),
        (Builder(poke={0x750: b"\x09"}), "has no address"),
        (Builder(poke={0x858: struct.pack("<Q", 0x10)}), "security cookie"),
        (Builder(poke={0x858: struct.pack("<Q", BASE + RDATA)}), "read-only"),
        (Builder(poke={0x800: U32(3)}), "load configuration is 3 bytes"),
        (Builder(relocs=struct.pack("<IIHH", DATA, 13, 0, 0)), "cut off"),
        (Builder(relocs=struct.pack("<IIHH", DATA, 4, 0, 0)), "cut off"),
        (Builder(relocs=struct.pack("<IIHH", DATA, 0x7FFFFFFE, 0, 0)), "cut off"),
        (Builder(relocs=struct.pack("<IIHH", DATA, 12, 5 << 12, 0)), "type 5"),
        (Builder(relocs=struct.pack("<IIHH", DATA, 12, 10 << 12 | 0x7F9, 0)), "a relocation at"),
        (Builder(relocs=struct.pack("<IIHH", 0xFFFFF000, 12, 10 << 12, 0)), "a relocation at"),
    ],
)
def test_malformed_images_are_refused_with_a_sentence(builder: Builder, sentence: str) -> None:
    with pytest.raises(LoadError, match=sentence):
        pe.parse(builder.build())


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b"hello", "not a PE"),
        (b"\x7fELF" + bytes(100), "Linux"),
        (b"\xcf\xfa\xed\xfe" + bytes(100), "macOS"),
        (b"PK\x03\x04", "ZIP"),
        (b"MZ", "truncated"),
        (b"MZ" + bytes(62), "DOS program"),
        (b"MZ" + bytes(1000), "DOS program"),
    ],
)
def test_other_files_are_named(data: bytes, sentence: str) -> None:
    with pytest.raises(LoadError, match=sentence):
        pe.parse(data)


def test_every_truncation_is_refused_or_harmless() -> None:
    for length in range(len(GOOD)):
        with pytest.raises(LoadError):
            pe.parse(GOOD[:length])


def test_damaged_debug_data_stops_nothing() -> None:
    for poke in ({0x900 + 20: U32(0x999999)}, {0x940: b"NB10"}, {0x900 + 16: U32(0xFFFFFFFF)}):
        assert pe.parse(Builder(poke=poke).build()).codeview is None


def test_a_name_may_end_with_the_zero_fill() -> None:
    # The last name of a section whose file part is shorter than its virtual size.
    place = DATA + 0x200 - 10
    offset = 0xA00 + 0x200 - 10
    image = pe.parse(
        Builder(poke={0x640: struct.pack("<Q", place), offset: b"\0\0abcdefgh"}).build()
    )
    assert image.imports[0].symbols[0].name == "abcdefgh"


def _check(data: bytes) -> None:
    started = time.process_time()
    try:
        image = pe.parse(data)
        assert image.size_of_image <= pe.MAX_IMAGE
        if image.size_of_image < 1 << 20:
            assert len(image.image()) == image.size_of_image
            image.rebased(0xFFFFF800_00000000)
    except LoadError as error:
        assert str(error)
    assert time.process_time() - started < 0.5


def test_seeded_mutations_give_an_image_or_a_load_error() -> None:
    chance = random.Random(20240607)
    values = [0, 1, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFF000, 0x1000, 0x10000000]
    for _ in range(6000):
        data = bytearray(GOOD)
        for _ in range(chance.choice((1, 1, 2, 3, 8))):
            place = chance.randrange(len(data) - 4)
            if chance.random() < 0.5:
                place %= 0x200
            kind = chance.random()
            if kind < 0.4:
                data[place] = chance.randrange(256)
            elif kind < 0.7:
                data[place & ~3 : (place & ~3) + 4] = U32(chance.choice(values))
            elif kind < 0.9:
                data[place & ~3 : (place & ~3) + 4] = U32(chance.randrange(0x6000))
            elif kind < 0.95:
                del data[place + 8 :]
            else:
                data[place:place] = bytes(chance.randrange(64))
            if len(data) < 0x200:
                break
        _check(bytes(data))


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(st.integers(0, len(GOOD) - 9), st.binary(min_size=1, max_size=8)), max_size=6
    ),
    st.integers(0, len(GOOD)),
)
def test_any_mutation_gives_an_image_or_a_load_error(
    pokes: list[tuple[int, bytes]], length: int
) -> None:
    data = bytearray(GOOD)
    for place, raw in pokes:
        data[place : place + len(raw)] = raw
    _check(bytes(data))
    _check(bytes(data[:length]))


@settings(max_examples=200)
@given(st.binary(max_size=2000))
def test_any_bytes_give_a_load_error(data: bytes) -> None:
    _check(data)
    _check(b"MZ" + data)


def test_zero_filled_directories_cost_neither_time_nor_memory() -> None:
    """A 3 KB file that claims 200 MB of relocations, functions, imports."""
    huge = {TABLE + 2 * 40 + 8: U32(0x0C00_0000)}
    shifted = 0x0C00_3000
    huge |= {TABLE + 3 * 40 + 12: U32(shifted), TABLE + 4 * 40 + 12: U32(shifted + 0x1000)}
    size = {"size_of_image": shifted + 0x2000}
    base = {3: (shifted, 12), 5: (shifted + 0x1000, 12)}
    assert pe.parse(Builder(poke=huge, directories=base, **size).build())  # type: ignore[arg-type]
    for index in (3, 5):
        directories = base | {index: (DATA + 0x1000, 0x0B00_0000)}
        started = time.process_time()
        with pytest.raises(LoadError):
            pe.parse(Builder(poke=huge, directories=directories, **size).build())  # type: ignore[arg-type]
        assert time.process_time() - started < 0.5
