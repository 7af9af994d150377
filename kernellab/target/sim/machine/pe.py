"""The PE32+ files that are drivers: parsed strictly, mapped, rebased.

:func:`parse` answers with a :class:`PeImage` or raises :class:`~kernellab.errors.LoadError`
with a sentence that says what the file is or where it is damaged; it never raises anything
else, and its time and memory are bounded by the size of the file. Formats: Microsoft's page
"PE Format"; what is refused beyond it is what the kernel's own loader refuses (sections
must follow each other without a gap, at most 96 of them, native subsystem).

Not accepted, though Windows has ways to load some of them: sections aligned to less than a
page (``/ALIGN``), delay-loaded imports, 32-bit and ARM64 images. The header checksum is not
enforced here: see :meth:`PeImage.computed_checksum`.
"""

from __future__ import annotations

import struct
import sys
from array import array
from dataclasses import dataclass, field
from typing import Any

from kernellab.errors import LoadError

from . import _pe_directories as directories
from ._pe_directories import CodeView, Exports, Import, ImportSymbol, LoadConfig
from ._pe_view import Section, View

__all__ = [
    "CodeView",
    "Exports",
    "Import",
    "ImportSymbol",
    "LoadConfig",
    "PeImage",
    "Section",
    "parse",
]

#: Largest file and largest mapped image, bytes.
MAX_FILE = 128 << 20
MAX_IMAGE = 256 << 20
PAGE = 0x1000
_MAX_SECTIONS = 96
_TARGET = "build for x86_64-pc-windows-msvc"

_MACHINES = {
    0x014C: f"a 32-bit x86 image; {_TARGET}",
    0x01C0: f"a 32-bit ARM image; {_TARGET}",
    0x01C4: f"a 32-bit ARM image; {_TARGET}",
    0xAA64: f"an ARM64 image; {_TARGET}",
    0xA641: f"an ARM64EC image; {_TARGET}",
    0xA64E: f"an ARM64X image; {_TARGET}",
    0x0200: f"an Itanium image; {_TARGET}",
}
_SUBSYSTEMS = {
    0: "unknown",
    2: "Windows GUI",
    3: "Windows console",
    7: "POSIX console",
    9: "Windows CE",
    10: "EFI application",
    11: "EFI boot service driver",
    12: "EFI runtime driver",
    13: "EFI ROM",
    14: "Xbox",
    16: "Windows boot application",
}
_OTHER_FORMATS = (
    (b"\x7fELF", "an ELF file (a Linux program or library)"),
    (b"\xcf\xfa\xed\xfe", "a Mach-O file (a macOS program or library)"),
    (b"\xca\xfe\xba\xbe", "a Mach-O file (a macOS program or library)"),
    (b"!<arch>", "an archive of object files (a .lib or .rlib)"),
    (b"PK\x03\x04", "a ZIP file"),
    (b"#!", "a script"),
)


@dataclass(frozen=True, slots=True)
class PeImage:
    """A driver image. Addresses are RVAs, sizes are bytes; 0 means absent.

    ``exception_rva`` and ``exception_size`` are the function table (``.pdata``, 12 bytes an
    entry). ``relocations`` are ``(rva, type)`` with type 10 (DIR64) or 3 (HIGHLOW).
    """

    machine: int
    is_dll: bool
    entry_point: int
    image_base: int
    size_of_image: int
    size_of_headers: int
    section_alignment: int
    checksum: int
    subsystem: int
    dll_characteristics: int
    timestamp: int
    relocations_stripped: bool
    sections: tuple[Section, ...]
    imports: tuple[Import, ...]
    exports: dict[str, int]
    export_directory: Exports = field(repr=False)
    relocations: tuple[tuple[int, int], ...] = field(repr=False)
    load_config: LoadConfig
    codeview: CodeView | None
    exception_rva: int
    exception_size: int
    data: bytes = field(repr=False)
    _header_fields: int = field(repr=False)

    @property
    def security_cookie(self) -> int:
        """RVA of ``__security_cookie``, which the loader fills; 0 where there is none."""
        return self.load_config.security_cookie

    def section_at(self, rva: int) -> Section | None:
        """The section that holds ``rva``."""
        return next((s for s in self.sections if s.rva <= rva < s.end), None)

    def image(self) -> bytearray:
        """The mapped layout at the preferred base: headers and sections, zero elsewhere."""
        out = bytearray(self.size_of_image)
        out[: self.size_of_headers] = self.data[: self.size_of_headers]
        for section in self.sections:
            taken = min(section.raw_size, section.virtual_size)
            raw = self.data[section.raw_offset : section.raw_offset + taken]
            out[section.rva : section.rva + taken] = raw
        return out

    def rebased(self, base: int) -> bytes:
        """The mapped layout as it is when loaded at ``base`` (a multiple of 4096).

        Raises :class:`LoadError` where the image cannot move: linked with ``/FIXED``.
        """
        if base % PAGE or not 0 <= base <= (1 << 64) - self.size_of_image:
            raise ValueError(f"base {base:#x} is not a page address of 64 bits")
        out = self.image()
        delta = base - self.image_base
        if delta:
            if self.relocations_stripped:
                raise LoadError(
                    "the image has no relocations, so it cannot be loaded as a driver "
                    "(link without /FIXED)"
                )
            for rva, kind in self.relocations:
                width, code = (8, "<Q") if kind == directories.REL_DIR64 else (4, "<I")
                (value,) = struct.unpack_from(code, out, rva)
                struct.pack_into(code, out, rva, value + delta & (1 << width * 8) - 1)
            # Windows writes the new base into the mapped header as well.
            struct.pack_into("<Q", out, self._header_fields + 24, base)
        return bytes(out)

    def computed_checksum(self) -> int:
        """What CheckSum in the header should be (0 there means never set: ``/RELEASE``).

        The algorithm of ImageHlp's CheckSumMappedFile: the 16-bit ones' complement sum of the
        file without the field itself, plus the file's length.
        """
        place = self._header_fields + 64
        raw = self.data[:place] + bytes(4) + self.data[place + 4 :]
        words = array("H", raw + bytes(len(raw) & 1))
        if sys.byteorder == "big":
            words.byteswap()
        total = sum(words)
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        return total + len(self.data)


def parse(data: bytes) -> PeImage:
    """Parse a driver file. Raises :class:`LoadError` and nothing else."""
    if len(data) > MAX_FILE:
        raise LoadError(f"the file is {len(data) >> 20} MB; a driver is at most {MAX_FILE >> 20}")
    data = bytes(data)
    header = _nt_header(data)
    machine, count, timestamp, optional_size, characteristics = struct.unpack_from(
        "<HHI8xHH", data, header + 4
    )
    optional = header + 24
    if machine != 0x8664:
        raise LoadError(
            "not an x86-64 driver: " + _MACHINES.get(machine, f"its machine type is {machine:#06x}")
        )
    if optional + max(optional_size, 112) > len(data):
        raise LoadError("truncated image: the file ends within its headers")
    (magic,) = struct.unpack_from("<H", data, optional)
    if magic == 0x10B:
        raise LoadError(f"not an x86-64 driver: a 32-bit image (PE32); {_TARGET}")
    if magic != 0x20B or optional_size < 112:
        raise LoadError("damaged image: its optional header is not that of a PE32+ file")
    if not characteristics & 2:
        raise LoadError(
            "the image is not executable: the linker reported errors, or an object file"
        )
    entry, image_base, alignment, file_alignment = struct.unpack_from("<16xI4xQII", data, optional)
    size_of_image, size_of_headers, checksum, subsystem, dll_flags = struct.unpack_from(
        "<IIIHH", data, optional + 56
    )
    _check_fields(
        image_base, alignment, file_alignment, size_of_image, size_of_headers, subsystem, len(data)
    )
    size_of_image = -(-size_of_image // PAGE) * PAGE

    (entries,) = struct.unpack_from("<I", data, optional + 108)
    entries = min(entries, 16)
    if optional_size < 112 + entries * 8:
        raise LoadError("damaged image: its optional header is too short for its directories")
    pairs = list(struct.iter_unpack("<II", data[optional + 112 : optional + 112 + entries * 8]))
    pairs += [(0, 0)] * (16 - entries)

    table = optional + optional_size
    if not 1 <= count <= _MAX_SECTIONS:
        raise LoadError(f"damaged image: {count} sections (Windows loads 1 to {_MAX_SECTIONS})")
    if table + count * 40 > min(len(data), size_of_headers):
        raise LoadError("truncated image: the file ends within its section table")
    view = View(data, _sections(data, table, count, alignment, size_of_headers, size_of_image))
    _check_entry(view, entry)
    return PeImage(
        machine=machine,
        is_dll=bool(characteristics & 0x2000),
        entry_point=entry,
        image_base=image_base,
        size_of_image=size_of_image,
        size_of_headers=size_of_headers,
        section_alignment=alignment,
        checksum=checksum,
        subsystem=subsystem,
        dll_characteristics=dll_flags,
        timestamp=timestamp,
        relocations_stripped=bool(characteristics & 1),
        sections=view.sections,
        data=data,
        _header_fields=optional,
        **_directories(view, pairs, image_base),
    )


def _nt_header(data: bytes) -> int:
    """The offset of ``PE\\0\\0``, or a sentence on what the file is instead."""
    if not data:
        raise LoadError("not a driver: the file is empty")
    if data[:2] != b"MZ":
        what = next((name for head, name in _OTHER_FORMATS if data.startswith(head)), "")
        raise LoadError(
            f"not a driver: this is {what}" if what else "not a driver: the file is not a PE image"
        )
    if len(data) < 64:
        raise LoadError("truncated image: the file ends within its DOS header")
    offset: int = struct.unpack_from("<I", data, 60)[0]
    if offset < 64 and data[offset : offset + 4] != b"PE\0\0":
        raise LoadError("not a driver: this is a DOS program")
    if data[offset : offset + 2] in (b"NE", b"LE", b"LX"):
        raise LoadError("not a driver: this is a 16-bit Windows or OS/2 program")
    if offset + 24 > len(data):
        raise LoadError("truncated image: the file ends before its PE header (or a DOS program)")
    if data[offset : offset + 4] != b"PE\0\0":
        raise LoadError("not a driver: this is a DOS program")
    if offset % 4:
        raise LoadError(f"damaged image: its PE header is at {offset:#x}, not a multiple of 4")
    return offset


def _check_fields(
    image_base: int,
    alignment: int,
    file_alignment: int,
    size_of_image: int,
    size_of_headers: int,
    subsystem: int,
    length: int,
) -> None:
    if subsystem != 1:
        name = _SUBSYSTEMS.get(subsystem, str(subsystem))
        raise LoadError(
            f"not a driver: its subsystem is {name}; a driver's is native "
            "(link with /SUBSYSTEM:NATIVE /DRIVER)"
        )
    for value, name in ((alignment, "section"), (file_alignment, "file")):
        if not value or value & (value - 1):
            raise LoadError(f"damaged image: its {name} alignment ({value:#x}) is no power of two")
    if alignment < PAGE:
        raise LoadError(
            f"its sections are aligned to {alignment:#x} bytes, less than a page, so they cannot "
            "be protected one by one (link without /ALIGN)"
        )
    if file_alignment > alignment:
        raise LoadError("damaged image: its file alignment is larger than its section alignment")
    if image_base % 0x10000 or image_base > (1 << 64) - 0x10000 - MAX_IMAGE:
        raise LoadError(f"damaged image: its base {image_base:#x} is not a multiple of 64 KB")
    if size_of_image > MAX_IMAGE:
        raise LoadError(
            f"the image is {size_of_image >> 20} MB when mapped; at most {MAX_IMAGE >> 20} MB "
            "are supported"
        )
    if not 0 < size_of_headers <= size_of_image:
        raise LoadError(f"damaged image: its headers' size is {size_of_headers:#x}")
    if size_of_headers > length:
        raise LoadError("truncated image: the file ends within its headers")


def _sections(
    data: bytes, table: int, count: int, alignment: int, headers: int, size_of_image: int
) -> list[Section]:
    sections: list[Section] = []
    expected = -(-headers // alignment) * alignment
    for index in range(count):
        raw_name, virtual_size, rva, raw_size, raw_offset, flags = struct.unpack_from(
            "<8s4I12xI", data, table + index * 40
        )
        name = raw_name.rstrip(b"\0").decode("latin-1")
        shown = name if name.isprintable() and name else f"#{index + 1}"
        if not raw_offset:
            raw_size = 0
        section = Section(name, rva, virtual_size or raw_size, raw_offset, raw_size, flags)
        if not section.virtual_size:
            raise LoadError(f"damaged image: section {shown} is empty")
        if rva != expected:
            problem = "overlaps what is before it" if rva < expected else "leaves a gap before it"
            raise LoadError(
                f"damaged image: section {shown} at RVA {rva:#x} {problem} "
                f"(it belongs at {expected:#x})"
            )
        if section.end > size_of_image:
            raise LoadError(
                f"damaged image: section {shown} ends at RVA {section.end:#x}, "
                f"beyond the image's size ({size_of_image:#x})"
            )
        if raw_size and raw_offset % 0x200:
            raise LoadError(
                f"damaged image: section {shown} is at file offset {raw_offset:#x}, "
                "not a multiple of 512"
            )
        # What the file has beyond the virtual size is never mapped, but is padded to it.
        if raw_offset + raw_size > len(data):
            raise LoadError(f"truncated image: the file ends within section {shown}")
        sections.append(section)
        expected = -(-section.end // alignment) * alignment
    return sections


def _check_entry(view: View, entry: int) -> None:
    if not entry:
        raise LoadError("the image has no entry point (link with /ENTRY:DriverEntry)")
    section = view.section(entry)
    if section is None:
        raise LoadError(f"damaged image: its entry point (RVA {entry:#x}) is outside its sections")
    if not section.executable:
        raise LoadError(
            f"damaged image: its entry point (RVA {entry:#x}) is in section {section.name}, "
            "which is not executable"
        )


def _directories(view: View, pairs: list[tuple[int, int]], image_base: int) -> dict[str, Any]:
    """The fields of :class:`PeImage` that come from data directories."""
    if pairs[13][0]:
        raise LoadError("delay-loaded imports are not supported (link without /DELAYLOAD)")
    if pairs[14][0]:
        raise LoadError("not a driver: a managed (.NET) image")
    rva, size = pairs[0]
    exported = directories.exports(view, rva, size) if rva and size else Exports()
    function_table, table_size = pairs[3]
    if table_size and (
        view.section(function_table, table_size) is None or table_size > len(view.data)
    ):
        raise LoadError(
            f"damaged image: its function table (RVA {function_table:#x}, {table_size} bytes) "
            "lies outside its sections"
        )
    return {
        "imports": directories.imports(view, pairs[1][0]) if pairs[1][0] else (),
        "exports": exported.names,
        "export_directory": exported,
        "relocations": directories.relocations(view, *pairs[5]) if all(pairs[5]) else (),
        "load_config": (
            directories.load_config(view, pairs[10][0], image_base)
            if pairs[10][0]
            else LoadConfig()
        ),
        "codeview": directories.codeview(view, *pairs[6]) if all(pairs[6]) else None,
        "exception_rva": function_table if table_size else 0,
        "exception_size": table_size // 12 * 12 if function_table else 0,
    }
