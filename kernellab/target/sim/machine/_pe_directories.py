"""The data directories of a PE file that matter for loading a driver.

Part of :mod:`kernellab.target.sim.machine.pe`, which is what others import. Formats as in
Microsoft's page "PE Format". Work and memory are bounded by the limits below and by the
size of the file.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass, field

from kernellab.errors import LoadError

from ._pe_view import MAX_NAME, View

#: Most modules imported from, functions imported, names exported, relocations applied.
MAX_MODULES = 256
MAX_IMPORTS = 8192
MAX_EXPORTS = 16384
MAX_RELOCATIONS = 1 << 20

REL_ABSOLUTE, REL_HIGHLOW, REL_DIR64 = 0, 3, 10
_ORDINAL = 1 << 63


@dataclass(frozen=True, slots=True)
class ImportSymbol:
    """One imported function: by ``name``, or by ``ordinal`` where ``name`` is empty."""

    name: str
    ordinal: int
    iat_rva: int
    hint: int

    def __str__(self) -> str:
        return self.name or f"#{self.ordinal}"


@dataclass(frozen=True, slots=True)
class Import:
    """What is imported from one module, in the order of the file."""

    dll: str
    symbols: tuple[ImportSymbol, ...]


@dataclass(frozen=True, slots=True)
class CodeView:
    """Where the symbols are: the PDB's path as the linker wrote it, its GUID and age."""

    pdb: str
    guid: str
    age: int

    @property
    def debug_id(self) -> str:
        """The GUID and age as symbol servers write them."""
        return f"{self.guid.replace('-', '').upper()}{self.age:X}"


@dataclass(frozen=True, slots=True)
class LoadConfig:
    """IMAGE_LOAD_CONFIG_DIRECTORY64, the part that the loader looks at; 0 where absent.

    ``security_cookie`` is the RVA of ``__security_cookie``; ``guard_check`` and
    ``guard_dispatch`` are the RVAs of the two Control Flow Guard pointers.
    """

    security_cookie: int = 0
    guard_check: int = 0
    guard_dispatch: int = 0
    guard_flags: int = 0


@dataclass(frozen=True, slots=True)
class Exports:
    """``names`` maps a name to its RVA; ``forwarders`` a name to ``MODULE.Name``."""

    names: dict[str, int] = field(default_factory=dict)
    ordinals: dict[int, int] = field(default_factory=dict)
    forwarders: dict[str, str] = field(default_factory=dict)


def imports(view: View, rva: int) -> tuple[Import, ...]:
    """The import directory: descriptors up to an empty one."""
    found: list[Import] = []
    total = 0
    while True:
        raw = view.read(rva, 20, "the import directory")
        lookup, _stamp, _chain, name_rva, iat = struct.unpack("<5I", raw)
        if not name_rva or not iat:
            break
        if len(found) >= MAX_MODULES:
            raise LoadError(f"damaged image: imports from more than {MAX_MODULES} modules")
        dll = view.name(name_rva, "the name of an imported module")
        symbols = _thunks(view, dll, lookup or iat, iat, MAX_IMPORTS - total)
        total += len(symbols)
        found.append(Import(dll, symbols))
        rva += 20
    return tuple(found)


def _thunks(view: View, dll: str, lookup: int, iat: int, room: int) -> tuple[ImportSymbol, ...]:
    what = f"the list of functions imported from {dll}"
    symbols: list[ImportSymbol] = []
    while value := view.u64(lookup, what):
        if len(symbols) >= room:
            raise LoadError(f"damaged image: more than {MAX_IMPORTS} imported functions")
        if view.section(iat, 8) is None:
            raise LoadError(
                f"damaged image: the import address table of {dll} (RVA {iat:#x}) "
                "lies outside its sections"
            )
        if value & _ORDINAL:
            if value & ~_ORDINAL > 0xFFFF:
                raise LoadError(f"damaged image: an import from {dll} has a bad ordinal")
            symbols.append(ImportSymbol("", value & 0xFFFF, iat, 0))
        else:
            if value > 0x7FFFFFFF:
                raise LoadError(
                    f"damaged image: the name of an import from {dll} lies outside its sections"
                )
            (hint,) = struct.unpack("<H", view.read(value, 2, "an import's hint"))
            name = view.name(value + 2, f"the name of a function imported from {dll}")
            symbols.append(ImportSymbol(name, 0, iat, hint))
        lookup += 8
        iat += 8
    return tuple(symbols)


def exports(view: View, rva: int, size: int) -> Exports:
    """The export directory of a driver that others import from."""
    raw = view.read(rva, 40, "the export directory")
    base, count, names, functions_rva, names_rva, ordinals_rva = struct.unpack("<6I", raw[16:40])
    if count > MAX_EXPORTS or names > MAX_EXPORTS:
        raise LoadError(f"damaged image: more than {MAX_EXPORTS} exported functions")
    functions = _array("I", view, functions_rva, count, "the export address table")
    name_rvas = _array("I", view, names_rva, names, "the table of exported names")
    indices = _array("H", view, ordinals_rva, names, "the table of export ordinals")
    out = Exports()
    budget = MAX_EXPORTS * 64 + MAX_NAME
    for index, function in enumerate(functions):
        if function and not rva <= function < rva + size:
            if view.section(function) is None:
                raise LoadError(
                    f"damaged image: exported function {base + index} lies outside its sections"
                )
            out.ordinals[base + index] = function
    for name_rva, index in zip(name_rvas, indices, strict=True):
        name = view.name(name_rva, "an exported name")
        budget -= len(name)
        if budget < 0:
            raise LoadError("damaged image: its exported names are too long")
        if index >= count:
            raise LoadError(f"damaged image: export {name} has no address")
        function = functions[index]
        if rva <= function < rva + size:
            out.forwarders[name] = view.name(function, f"the forwarder of export {name}")
            budget -= len(out.forwarders[name])
        elif function:
            out.names[name] = function
    return out


def _array(code: str, view: View, rva: int, count: int, what: str) -> array[int]:
    values = array(code)
    if count:
        values.frombytes(view.read(rva, count * (4 if code == "I" else 2), what))
    return values


def relocations(view: View, rva: int, size: int) -> tuple[tuple[int, int], ...]:
    """``(rva, type)`` of every place that holds an address, in the order of the file."""
    raw = view.read(rva, size, "the relocation table")
    found: list[tuple[int, int]] = []
    position = 0
    section = None
    while position + 8 <= size:
        page, length = struct.unpack_from("<II", raw, position)
        if not page and not length:
            break  # padding at the end
        if length < 8 or length & 1 or position + length > size:
            raise LoadError(
                f"damaged image: relocation block at RVA {rva + position:#x} is cut off"
            )
        if len(found) + (length >> 1) - 4 > MAX_RELOCATIONS:
            raise LoadError(f"damaged image: more than {MAX_RELOCATIONS} relocations")
        for entry in struct.unpack_from(f"<{(length >> 1) - 4}H", raw, position + 8):
            kind = entry >> 12
            if kind == REL_ABSOLUTE:
                continue
            width = 8 if kind == REL_DIR64 else 4
            if kind not in (REL_DIR64, REL_HIGHLOW):
                raise LoadError(f"damaged image: relocation type {kind} is not one of x86-64's")
            place = page + (entry & 0xFFF)
            if section is None or not section.rva <= place <= section.end - width:
                section = view.section(place, width)
                if section is None:
                    raise LoadError(
                        f"damaged image: a relocation at RVA {place:#x} lies outside its sections"
                    )
            found.append((place, kind))
        position += length
    return tuple(found)


def load_config(view: View, rva: int, image_base: int) -> LoadConfig:
    """The security cookie and Control Flow Guard fields, as far as the directory reaches."""
    length = view.u32(rva, "the load configuration")
    if not 4 <= length <= 0x1000:
        raise LoadError(f"damaged image: its load configuration is {length} bytes long")
    raw = view.read(rva, length, "the load configuration").ljust(0x94, b"\0")
    cookie, check, dispatch, flags = (
        *struct.unpack_from("<Q", raw, 0x58),
        *struct.unpack_from("<QQ", raw, 0x70),
        *struct.unpack_from("<I", raw, 0x90),
    )
    places = []
    for address, what in ((cookie, "security cookie"), (check, "guard"), (dispatch, "guard")):
        place = address - image_base if address else 0
        section = view.section(place, 8) if address else None
        if address and section is None:
            raise LoadError(f"damaged image: its {what} pointer ({address:#x}) is not in the image")
        if section is not None and what == "security cookie" and not section.writable:
            raise LoadError("damaged image: its security cookie is in a read-only section")
        places.append(place)
    return LoadConfig(places[0], places[1], places[2], flags)


def codeview(view: View, rva: int, size: int) -> CodeView | None:
    """The PDB reference, or None: like Windows, a damaged debug directory stops nothing."""
    try:
        raw = view.read(rva, min(size, 28 * 32), "the debug directory")
        for start in range(0, len(raw) - 27, 28):
            kind, length, place = struct.unpack_from("<III", raw, start + 12)
            if kind != 2 or not 24 < length <= MAX_NAME + 24:
                continue
            record = view.read(place, length, "the PDB reference")
            if record[:4] != b"RSDS":
                continue
            a, b, c = struct.unpack_from("<IHH", record, 4)
            tail = record[12:20].hex()
            name = record[24:].split(b"\0", 1)[0].decode("utf-8", "replace")
            (age,) = struct.unpack_from("<I", record, 20)
            return CodeView(name, f"{a:08x}-{b:04x}-{c:04x}-{tail[:4]}-{tail[4:]}", age)
    except LoadError:
        return None
    return None
