"""A function's machine code beside the source lines it was made from.

A compiler puts small functions into those that call them: of a function without code of its own,
what became of it in each of these is shown.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from ..crate import template_root
from ..errors import UsageError
from .code import Code, Function, Instruction, is_library, simple_name, source_lines
from .listing import Block, blocks, render_html, render_text

#: Most functions that an error lists.
_LISTED: Final = 16


@dataclass(frozen=True, slots=True)
class Part:
    """Instructions of the function that lie in ``function``, itself or one it was put into."""

    function: str
    start: int
    inlined: bool
    instructions: tuple[Instruction, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Disassembly:
    """A function of a driver as machine code. Shows itself as a table; ``print`` it for text.

    ``name`` is the function's, ``driver`` the driver's; ``parts`` its instructions by place.
    """

    name: str
    driver: str
    parts: tuple[Part, ...]
    sources: Mapping[str, list[str]] = field(repr=False)

    @property
    def instructions(self) -> list[Instruction]:
        """Every instruction, by address."""
        return [each for part in self.parts for each in part.instructions]

    @property
    def titles(self) -> list[str]:
        """A line on each part: its name, where it is, how much."""
        found = []
        for part in self.parts:
            name = simple_name(self.name, self.driver)
            into = f", inlined into {simple_name(part.function, self.driver)}"
            count = len(part.instructions)
            size = sum(each.size for each in part.instructions)
            plural = "" if count == 1 else "s"
            found.append(
                f"{name}{into if part.inlined else ''}: {count} instruction{plural}, {size} bytes"
                f" at {self.driver}+{part.instructions[0].address:#x}"
            )
        return found

    def blocks(self, part: Part) -> list[Block]:
        """The part's instructions under the source lines that they belong to."""
        return blocks(part.instructions, self.name, self.driver, self.sources)

    def __str__(self) -> str:
        texts = [
            f"{title}\n{render_text(self.blocks(part))}"
            for title, part in zip(self.titles, self.parts, strict=True)
        ]
        return "\n".join(texts)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        tables = "".join(
            render_html(title, self.blocks(part))
            for title, part in zip(self.titles, self.parts, strict=True)
        )
        return {"text/plain": str(self), "text/html": tables}


class Built(Protocol):
    """A built driver: a result of a build, or a loaded driver."""

    @property
    def image(self) -> Path: ...
    @property
    def sources(self) -> Mapping[str, str]: ...


def disassemble(
    driver: Built | str | Path, function: str, *, sources: Mapping[str, str] | None = None
) -> Disassembly:
    """The machine code of ``function`` in a driver: loaded, built, or a ``.sys`` file.

    Its PDB lies beside it. ``function`` is a name as the source has it (``init``,
    ``Module::init``, ``driver_entry``) or the whole path. ``sources`` are texts by the name that
    debug information has for them, such as ``cell``. Raises UsageError with the names there are
    where none or several fit.
    """
    if isinstance(driver, str | Path):
        code = Code(Path(driver))
    else:
        code, sources = Code(driver.image), {**driver.sources, **(sources or {})}
    function = function.strip()
    own = Search(code, ((each.name, each) for each in code.functions))
    name = own.find(function) if function not in ("", "?") else ""
    if name:
        parts = [
            Part(each.name, each.start, False, tuple(code.instructions(each)))
            for each in code.functions
            if each.name == name
        ]
    else:
        name, parts = _inlined(code, function, own)
    texts = {**source_lines(sources or {})}
    files = {frame.file for part in parts for i in part.instructions for frame in i.frames}
    texts |= source_lines(_framework(files - texts.keys()))
    return Disassembly(name, code.name, tuple(parts), texts)


def _inlined(code: Code, function: str, own: Search) -> tuple[str, list[Part]]:
    """What became of a function that has no code of its own."""
    users: dict[str, None] = {}
    places: dict[str, dict[int, Function]] = {}
    for each in code.functions:
        for address in code.addresses(each):
            for frame in code.frames(address):
                if not is_library(frame.file):
                    users[frame.function] = None
                if frame.inlined:
                    places.setdefault(frame.function, {})[each.start] = each
    name = Search(code, ((name, name) for name in places)).find(function) if function else ""
    if not name or function == "?":
        raise UsageError(_unknown(code, function, users, own.names))
    parts = []
    for each in places[name].values():
        inside = tuple(
            i for i in code.instructions(each) if any(f.function == name for f in i.frames)
        )
        parts.append(Part(each.name, each.start, True, inside))
    return name, parts


def _unknown(code: Code, function: str, users: Iterable[str], names: Iterable[str]) -> str:
    mine = sorted({simple_name(name, code.name) for name in users})
    shown = ", ".join(mine[:_LISTED]) + (f" and {len(mine) - _LISTED} more" * (len(mine) > _LISTED))
    known = f"{code.name} has code of {shown}" if mine else f"{code.name} has no code of its own"
    if function in ("", "?"):
        return known
    plain = {simple_name(name, code.name) for name in names} | set(mine)
    last = {name.rsplit("::", 1)[-1]: name for name in plain}
    near = difflib.get_close_matches(function, [*plain, *last], 1, 0.7)
    meant = f"; did you mean {last.get(near[0], near[0])}? " if near else ""
    more = "" if near else ". What nothing calls has no code, and functions that are equal are one"
    return f"no function {function[:80]!r} in {code.name}.sys{meant or '; '}{known}{more}"


class Search:
    """Names of functions, and which of them a user means."""

    def __init__(self, code: Code, named: Iterable[tuple[str, object]]) -> None:
        self._crate = code.name
        self.names = list(dict.fromkeys(name for name, _ in named))

    def find(self, wanted: str) -> str:
        """The whole name of the function called ``wanted``; empty where there is none.

        Tried in turn: the whole path, the path within the driver, its end, and the end without
        regard to case and underscores. UsageError where several fit.
        """
        simple = {name: simple_name(name, self._crate) for name in self.names}
        loose = _loosely(wanted)
        ways: list[Callable[[str], bool]] = [
            lambda name: name == wanted,
            lambda name: simple[name] == wanted,
            lambda name: simple[name].endswith(f"::{wanted}"),
            lambda name: f"::{_loosely(simple[name])}".endswith(f"::{loose}"),
        ]
        for fits in ways:
            found = [name for name in self.names if fits(name)]
            if len(found) > 1:
                # The driver's own before those of other crates, which keep their crate's name.
                mine = [n for n in found if simple[n] != n or "::" not in n]
                found = mine or found
            if len(found) > 1 and len({simple[name] for name in found}) > 1:
                several = ", ".join(sorted({simple[name] for name in found})[:_LISTED])
                raise UsageError(f"{wanted!r} can be {several}: give more of the path")
            if found:
                return found[0]
        return ""


def _loosely(name: str) -> str:
    return name.replace("_", "").lower()


def _framework(files: Iterable[str]) -> dict[str, str]:
    """The framework's sources among ``files``."""
    root, found = template_root(), {}
    for file in files:
        if file.startswith(("windows-kernel-rs/", "windows-kernel-sys/")) and ".." not in file:
            try:
                found[file] = (root / file).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue
    return found
