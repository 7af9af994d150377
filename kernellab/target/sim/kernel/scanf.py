"""The scanf family of the kernel's C run-time: text to numbers and strings, as a format says.

Microsoft's pages "Format specification fields: scanf and wscanf functions" and "scanf type field
characters". The secure forms take the size of each buffer, in characters, behind its address.
Numbers with a fraction are not converted: the kernel's routines know none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .strings import Memory

_SPACE: Final = " \t\n\v\f\r"
_SPEC: Final = re.compile(
    r"%(\*?)(\d*)(hh|h|ll|l|I64|I32|I|w|L|j|z|t)?([diouxXpcsCSn%]|\[\^?\]?[^\]]*\])"
)
_SIZES: Final = {"hh": 1, "h": 2, "ll": 8, "I64": 8, "I": 8, "j": 8, "z": 8, "t": 8}
#: The digits of a base, and of %i, which tells the base by its beginning.
_NUMBER: Final = {
    10: re.compile(r"[-+]?[0-9]+"),
    8: re.compile(r"[-+]?[0-7]+"),
    16: re.compile(r"[-+]?(?:0[xX](?=[0-9a-fA-F]))?[0-9a-fA-F]+"),
    0: re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|[0-9]+)"),
}
#: End of the text before anything was converted.
EOF: Final = -1


@dataclass(frozen=True, slots=True)
class _Spec:
    skip: bool
    width: int
    size: str
    kind: str


def scan(
    text: str, format_: str, argument: Callable[[], int], memory: Memory, *, wide: bool
) -> int:
    """How many were assigned, :data:`EOF` where the text ended before the first.

    ``argument`` gives the next argument; ``wide``: plain ``%s`` is of wide characters.
    """
    at = assigned = 0
    place = 0
    while place < len(format_):
        char = format_[place]
        if char in _SPACE:
            at = _skip(text, at)
            place += 1
            continue
        match = _SPEC.match(format_, place) if char == "%" else None
        if char != "%" or match is None:
            if text[at : at + 1] != char:
                return assigned if assigned or at < len(text) else EOF
            at += 1
            place += 1
            continue
        place = match.end()
        spec = _Spec(bool(match[1]), int(match[2] or 0), match[3] or "", match[4])
        if spec.kind == "n":
            _store(memory, argument(), at, spec)
            continue
        if spec.kind not in "cC" and spec.kind[0] != "[":
            at = _skip(text, at)
        if spec.kind == "%":
            if text[at : at + 1] != "%":
                return assigned
            at += 1
            continue
        if at >= len(text):
            return assigned or EOF
        end = _convert(text, at, spec, argument, memory, wide)
        if end is None:
            return assigned
        at = end
        assigned += not spec.skip
    return assigned


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _convert(
    text: str, at: int, spec: _Spec, argument: Callable[[], int], memory: Memory, wide: bool
) -> int | None:
    """Convert one field from ``at`` on; where it ends, None where it does not match."""
    field = text[at : at + spec.width] if spec.width else text[at:]
    if spec.kind in "diouxXp":
        base = {"d": 10, "u": 10, "i": 0, "o": 8}.get(spec.kind, 16)
        found = _NUMBER[base].match(field)
        if found is None:
            return None
        if not spec.skip:
            _store(memory, argument(), _integer(found[0], base), spec)
        return at + found.end()
    if spec.kind in "cC":
        taken = text[at : at + (spec.width or 1)]
        if len(taken) < (spec.width or 1):
            return None
        return at + len(taken) if _put(taken, spec, argument, memory, wide, end=False) else None
    if spec.kind in "sS":
        found = re.compile(r"[^ \t\n\v\f\r]+").match(field)
    else:
        found = re.compile(_set(spec.kind)).match(field)
    if found is None or not _put(found[0], spec, argument, memory, wide, end=True):
        return None
    return at + found.end()


def _set(kind: str) -> str:
    """A scan set as a regular expression: only ^ at its start and ranges mean anything."""
    inside = kind[1:-1]
    negated = inside.startswith("^")
    inside = inside[negated:]
    chars = re.sub(r"[\\\]\[^&~|]", lambda m: "\\" + m[0], inside)
    return f"[{'^' if negated else ''}{chars}]+"


def _integer(digits: str, base: int) -> int:
    if base == 0:
        plain = digits.lstrip("+-").lower()
        base = 16 if plain.startswith("0x") else 8 if plain.startswith("0") else 10
    if base == 8 and set(digits) & set("89"):
        digits = re.split("[89]", digits)[0]
    return int(digits, base)


def _store(memory: Memory, address: int, value: int, spec: _Spec) -> None:
    size = 8 if spec.kind == "p" else _SIZES.get(spec.size, 4)
    memory.write(address, (value & ((1 << 8 * size) - 1)).to_bytes(size, "little"))


def _put(
    value: str, spec: _Spec, argument: Callable[[], int], memory: Memory, wide: bool, *, end: bool
) -> bool:
    """Store text and its terminator; False, and an empty string, where the buffer is too small."""
    if spec.skip:
        return True
    wide = {"h": False, "l": True, "w": True}.get(spec.size, wide != (spec.kind in "CS"))
    address, room = argument(), argument() & 0xFFFFFFFF
    code = "utf-16-le" if wide else "latin-1"
    if len(value) + end > room:
        if room and end:
            memory.write(address, bytes(2 if wide else 1))
        return False
    raw = value.encode(code, "surrogatepass" if wide else "replace")
    memory.write(address, raw + (bytes(2 if wide else 1) if end else b""))
    return True
