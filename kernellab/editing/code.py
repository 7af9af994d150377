"""A built driver's machine code: its functions, their instructions, and what these refer to."""

from __future__ import annotations

import bisect
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from ..build.symbols import Symbols
from ..errors import LoadError, UsageError
from ..protocol import Frame
from ..target.sim.machine import pe

#: Most characters of a text that a hint shows.
TEXT: Final = 48

_RIP: Final = re.compile(r"(?:(\w+) ptr )?\[rip ([+-]) (0x[0-9a-f]+|\d+)\]")
_BRANCH: Final = re.compile(r"0x[0-9a-f]+|\d+")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction. ``address`` and ``target`` are relative to the image's base.

    ``target`` is where a jump or a call goes, 0 where that is not known, and ``goes_to`` the
    function there; ``hint`` says what the operand is: a string, a variable. ``frames`` are the
    functions it belongs to, innermost first.
    """

    address: int
    size: int
    mnemonic: str
    operands: str
    target: int = 0
    goes_to: str = ""
    hint: str = ""
    frames: tuple[Frame, ...] = ()


@dataclass(frozen=True, slots=True)
class Function:
    """A function with code of its own: where it starts and ends, and its name."""

    start: int
    end: int
    name: str


class Code:
    """The code in the image at ``path`` by the symbols beside it.

    Raises UsageError where either is missing, LoadError where the image is damaged.
    """

    def __init__(self, path: Path) -> None:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read {path.name}: {error.strerror}") from error
        symbols = Symbols.beside(path)
        if symbols is None:
            raise UsageError(f"there are no symbols beside {path.name}: its .pdb belongs there")
        self.name = path.stem
        self._symbols = symbols
        self._image = pe.parse(data)
        self._memory = bytes(self._image.image())
        self._imports = {
            each.iat_rva: str(each) for module in self._image.imports for each in module.symbols
        }

    @cached_property
    def _named(self) -> list[tuple[int, str]]:
        return self._symbols.named()

    @cached_property
    def functions(self) -> list[Function]:
        """Every function that has code of its own, by address."""
        found = []
        for index, (start, name) in enumerate(self._named):
            section = self._image.section_at(start)
            if section is None or not section.executable or name.startswith("?catch"):
                continue
            after = next((rva for rva, _ in self._named[index + 1 :] if rva > start), section.end)
            found.append(Function(start, min(after, section.end), name))
        if not found:
            raise UsageError(f"the symbols beside {self.name}.sys name no function")
        return found

    @cached_property
    def _starts(self) -> list[int]:
        return [each.start for each in self.functions]

    def function_at(self, rva: int) -> Function | None:
        """The function whose code is at ``rva``."""
        index = bisect.bisect_right(self._starts, rva) - 1
        found = self.functions[index] if index >= 0 else None
        return found if found is not None and rva < found.end else None

    def frames(self, rva: int) -> tuple[Frame, ...]:
        """The functions that ``rva`` is in, innermost first."""
        return tuple(self._symbols.lookup(rva))

    def addresses(self, function: Function) -> Iterator[int]:
        """Where the function's instructions start."""
        code = self._memory[function.start : function.end]
        for address, _size, mnemonic, _operands in _decoder().disasm_lite(code, function.start):
            if mnemonic != "int3":
                yield address

    def instructions(self, function: Function) -> list[Instruction]:
        """The function's instructions, without the padding at its end."""
        code = self._memory[function.start : function.end]
        found = [
            self._explained(Instruction(address, size, mnemonic, operands))
            for address, size, mnemonic, operands in _decoder().disasm_lite(code, function.start)
        ]
        while len(found) > 1 and found[-1].mnemonic in ("int3", "nop"):
            found.pop()
        return [replace(each, frames=self.frames(each.address)) for each in found]

    # -- what an operand is -----------------------------------------------------------------------

    def _explained(self, plain: Instruction) -> Instruction:
        branch = plain.mnemonic.startswith(("j", "call", "loop"))
        if branch and _BRANCH.fullmatch(plain.operands):
            target = int(plain.operands, 0)
            return replace(plain, target=target, goes_to=self._place(target))
        match = _RIP.search(plain.operands)
        if match is None:
            return plain
        offset = int(match[3], 0) * (1 if match[2] == "+" else -1)
        place = plain.address + plain.size + offset
        imported = self._imports.get(place)
        if imported is not None and branch:
            return replace(plain, operands=imported, hint="the kernel's")
        return replace(plain, hint=imported or self.describe(place))

    def _place(self, rva: int) -> str:
        """The function at ``rva``, with how far into it."""
        found = self.function_at(rva)
        if found is None:
            return ""
        return found.name if found.start == rva else f"{found.name}+{rva - found.start:#x}"

    def describe(self, place: int) -> str:
        """What is at ``place``: a function, a variable, a text."""
        section = self._image.section_at(place)
        if section is None:
            return ""
        function = self.function_at(place) if section.executable else None
        if function is not None:
            return function.name if function.start == place else ""
        index = bisect.bisect_right(self._named, (place, "\U0010ffff")) - 1
        start, name = self._named[index] if index >= 0 else (0, "")
        if not _NAMELESS.match(name) and start == place:
            return name
        end = self._named[index + 1][0] if index + 1 < len(self._named) else section.end
        return self._text(place, min(end, section.end), section)

    def _text(self, place: int, end: int, section: Any) -> str:
        if section.writable:
            return ""
        where = self._location(place)
        if where:
            return where
        pieces = self._slices(place) or template(self._memory[place:end])
        if pieces:
            return quoted(pieces)
        plain = _ASCII.match(self._memory[place : min(end, place + 4 * TEXT)])
        return quoted(plain[0].decode("ascii")) if plain else ""

    def _location(self, place: int) -> str:
        """The ``core::panic::Location`` at ``place``: file, line and column."""
        if place + 24 > len(self._memory):
            return ""
        address, length, line, column = struct.unpack_from("<QQII", self._memory, place)
        start = address - self._image.image_base
        if not (0 < start < len(self._memory) and 0 < length < 260):
            return ""
        name = self._memory[start : start + length].decode("utf-8", "replace")
        named = name == "cell" or name.endswith(".rs")
        fits = 0 < line < 1 << 20 and 0 < column < 1 << 16 and name.isprintable()
        return f"{name}:{line}:{column}" if named and fits else ""

    def _slices(self, place: int) -> str:
        """The texts of up to four ``&str`` that follow each other at ``place``."""
        base, out = self._image.image_base, ""
        for at in range(place, min(place + 64, len(self._memory) - 15), 16):
            address, length = struct.unpack_from("<QQ", self._memory, at)
            start = address - base
            if not (0 < start < len(self._memory) and 0 < length <= 4096):
                break
            try:
                text = self._memory[start : start + length].decode("utf-8")
            except UnicodeDecodeError:
                break
            if not _readable(text):
                break
            out += text if not out else f"{{}}{text}"
        return out


#: Constants that have no name in the source.
_NAMELESS: Final = re.compile(r"anon\.|str\$|\?\?_C@|\$|__imp_|_*\.?L?alloc_|__real@|__xmm@")
_ASCII: Final = re.compile(rb"[\x20-\x7e\n\t]{4,}")


def _readable(text: str) -> bool:
    return all(c.isprintable() or c in "\n\t" for c in text)


def template(data: bytes) -> str:
    """The text of a ``format_args!`` as rustc 1.93 and later keep it; empty for what is none.

    Pieces of text after their length, placeholders, then a zero byte (the comment on
    ``Arguments`` in core's ``fmt/mod.rs``).
    """
    out, at = "", 0
    while at < len(data):
        lead = data[at]
        at += 1
        if lead == 0:
            return out
        if lead >= 0xC0:
            at += 4 * (lead & 1) + 2 * (lead >> 1 & 1) + 2 * (lead >> 2 & 1) + 2 * (lead >> 3 & 1)
            out += "{}"
            continue
        if lead == 0x80 and at + 2 <= len(data):
            lead, at = int.from_bytes(data[at : at + 2], "little"), at + 2
        elif lead >= 0x80:
            return ""
        try:
            text = data[at : at + lead].decode("utf-8")
        except UnicodeDecodeError:
            return ""
        if at + lead > len(data) or not _readable(text):
            return ""
        out, at = out + text, at + lead
    return ""


def quoted(text: str) -> str:
    """``text`` as a literal, cut to a length that a line has room for."""
    cut = text if len(text) <= TEXT else f"{text[: TEXT - 1]}…"
    return '"' + cut.translate(_ESCAPES) + '"'


_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\t": r"\t"})

_kept: Final[dict[str, Any]] = {}


def _decoder() -> Any:
    import capstone

    if "decoder" not in _kept:
        decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        decoder.skipdata = True  # bytes that are no instruction are shown, and all goes on
        _kept["decoder"] = decoder
    return _kept["decoder"]


# -- names ----------------------------------------------------------------------------------------


def simple_name(name: str, crate: str) -> str:
    """A function's name as its author would say it: ``Module::init``, ``helper``.

    ``<hello::Module as KernelModule>::init`` and ``hello::Module::init`` are both that; paths in
    other crates stay whole.
    """
    prefix = crate.replace("-", "_") + "::"
    name = _without_trait(name, prefix)
    name = name.removeprefix(prefix).removeprefix("_::")
    return re.sub(r"::_::", "::", name)


def _without_trait(name: str, own: str) -> str:
    if not name.startswith("<"):
        return name
    depth, split, end = 0, 0, 0
    for index, character in enumerate(name):
        if character == "<":
            depth += 1
        elif character == ">" and name[index - 1] != "-":
            depth -= 1
        if depth == 1 and not split and name.startswith(" as ", index):
            split = index
        if not depth:
            end = index
            break
    kind = name[1 : split or end]
    # `<u32 as core::fmt::Display>::fmt` needs its trait: there are others of the name.
    if not end or (split and not kind.startswith(own) and not kind[:1].isupper()):
        return name
    return kind + name[end + 1 :]


def is_library(file: str) -> bool:
    """Whether a source file is the language's library or another crate, not the driver's own."""
    return not file or file.startswith(_LIBRARIES) or bool(_CRATE.match(file))


_LIBRARIES: Final = ("windows-kernel-rs/", "windows-kernel-sys/", "core/", "alloc/", "registry/")
_CRATE: Final = re.compile(r"[\w-]+-\d+\.\d+[^/]*/src/|(?:compiler|portable|std)[\w-]*/")


def source_lines(sources: Mapping[str, str]) -> dict[str, list[str]]:
    """Each source's lines; index 0 is line 1."""
    return {name: text.split("\n") for name, text in sources.items()}


def around(image: Path, rva: int, *, count: int = 4) -> tuple[str, ...]:
    """The instructions of a driver around the one that has ``rva`` in it, which ``→`` marks.

    ``count`` before and after it, within its function. Empty where that is not to be known.
    """
    try:
        code = Code(image)
        function = code.function_at(rva)
    except (UsageError, LoadError, ValueError):
        return ()
    if function is None:
        return ()
    found = code.instructions(function)
    at = next((n for n, each in enumerate(found) if rva < each.address + each.size), None)
    if at is None:
        return ()
    near = found[max(0, at - count) : at + count + 1]
    lines = []
    for each in near:
        hint = each.goes_to or each.hint
        text = f"+{each.address:#x}  {each.mnemonic} {each.operands}".rstrip()
        here = each is found[at]
        lines.append(("→ " if here else "") + text + (f"  ; {hint}" if hint else ""))
    return tuple(lines)
