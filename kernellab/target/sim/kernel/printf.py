"""The printf family as the NT kernel has it: DbgPrint's text, _vsnprintf, _vsnwprintf.

Sources: Microsoft's pages "Format specification syntax: printf and wprintf functions" and
"DbgPrintEx function". What is special about Windows: ``%Z`` and ``%wZ`` take counted strings,
``%S`` is a string of the other width, ``%p`` is 16 upper-case digits, ``l`` is 32 bits, ``I`` is
pointer size, NULL strings print ``(null)``, zeros pad strings too (``%05s``), and a character
without meaning after ``%`` is printed as it is.

*Simplifications*

- Floating point (``%f %e %g %a``) is not supported, as DbgPrintEx's page says: the letter is
  printed and no argument taken, as for any character without meaning.
- ``%n`` takes its argument and writes nothing (the CRT has it disabled).
- Wide text becomes UTF-8 in narrow output (see :mod:`.nls`); a character that has no
  encoding becomes U+FFFD. Width and precision count UTF-16 units there, as Windows does
  with a one-byte code page.
- ``hh j z t`` are taken as in the Universal CRT, also by kernels that had them not yet.
- One call formats at most :data:`MAX_OUTPUT` bytes.

Memory errors of the reader pass through untouched: a driver that prints through a bad
pointer takes the fault here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

from .nls import ansi_to_unicode, unicode_to_ansi

#: One DbgPrint call carries this many bytes; what is longer is cut (by the caller).
DBGPRINT_LIMIT: Final = 512

#: Longest text of one call and longest string read for it, bytes.
MAX_OUTPUT: Final = 1 << 20

#: Digits that an integer's precision can ask for (the CRT's own limit).
_MAX_PRECISION: Final = 512

# Formats of this many bytes and more are not kept compiled.
_CACHED: Final = 2048

#: Takes the next variable argument: an unsigned 64-bit slot of the x64 va_list.
NextArgument = Callable[[], int]

# Possessive: what can be a flag, width or size is never the type.
_SPEC: Final = re.compile(
    r"([-+ #0]*+)(\*|[0-9]++)?+(?:\.(\*|[0-9]*+))?+"
    r"((?:hh|ll|I64|I32|I(?=[diouxX])|[hlLwjzt])*+)(.)",
    re.DOTALL,
)
_BITS: Final = {
    "hh": 8, "h": 16, "l": 32, "I32": 32, "ll": 64, "I64": 64, "I": 64, "j": 64, "z": 64, "t": 64,
}  # fmt: skip


class Memory(Protocol):
    """Where strings are read from. ``read`` raises what the caller makes of a fault."""

    def read(self, address: int, size: int, /) -> bytes: ...


def read_string(memory: Memory, address: int, limit: int = MAX_OUTPUT) -> bytes:
    """The bytes at ``address`` up to a NUL, at most ``limit``.

    Pages are read one after the other, so that a fault has the address that the guest would
    fault at, and memory after the terminator is never touched beyond its page.
    """
    size = 0x1000 - (address & 0xFFF)
    if size > 256:
        size = 256
    if size > limit:
        if limit <= 0:
            return b""
        size = limit
    chunk = memory.read(address, size)
    end = chunk.find(0)
    if end >= 0:
        return chunk[:end]
    parts = [chunk]
    while (limit := limit - size) > 0:
        address = address + size & 0xFFFF_FFFF_FFFF_FFFF
        size = min(limit, 0x1000 - (address & 0xFFF))
        chunk = memory.read(address, size)
        end = chunk.find(0)
        if end >= 0:
            parts.append(chunk[:end])
            break
        parts.append(chunk)
    return b"".join(parts)


def read_wide_string(memory: Memory, address: int, limit: int = MAX_OUTPUT // 2) -> bytes:
    """UTF-16LE at ``address`` up to a zero unit, at most ``limit`` units."""
    parts = []
    step = 256
    while limit > 0:
        # An odd address can have a unit that lies on two pages.
        size = min(limit * 2, step, (0x1000 - (address & 0xFFF)) & ~1 or 2)
        chunk = memory.read(address, size)
        end = chunk.find(b"\0\0")
        while end & 1 and end > 0:
            end = chunk.find(b"\0\0", end + 1)
        if end >= 0:
            parts.append(chunk[:end])
            break
        parts.append(chunk)
        limit -= size // 2
        address = address + size & 0xFFFF_FFFF_FFFF_FFFF
        step = 0x1000
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class _Spec:
    """One conversion. ``width`` and ``precision``: a number, -1 for none, None for ``*``."""

    left: bool
    zero: bool
    alternate: bool
    sign: str
    width: int | None
    precision: int | None
    bits: int
    kind: str  # d u o x X p c s Z n
    wide: bool  # of c, s, Z: the argument is UTF-16
    plain: bool  # no flags, width or precision


@lru_cache(maxsize=1024)
def _compile(text: bytes, wide: bool) -> tuple[bytes | _Spec, ...]:
    """A format as literals (in the output's encoding) and conversions."""
    encoding, errors = ("utf-16-le", "surrogatepass") if wide else ("latin-1", "strict")
    format_ = text.decode(encoding, errors)
    items: list[bytes | _Spec] = []
    literal = ""
    at = 0
    while True:
        percent = format_.find("%", at)
        if percent < 0:
            literal += format_[at:]
            break
        literal += format_[at:percent]
        match = _SPEC.match(format_, percent + 1)
        if match is None:
            break  # a lone % (and what could precede a type) at the end
        at = match.end()
        spec = _spec(*match.groups(default=""), wide=wide, has_precision=match[3] is not None)
        if literal:
            items.append(literal.encode(encoding, errors))
            literal = ""
        if spec is None or spec.kind == "":
            literal = match[5]
        if spec is not None:
            items.append(spec)
    if literal:
        items.append(literal.encode(encoding, errors))
    return tuple(items)


def _spec(
    flags: str, width: str, precision: str, size: str, kind: str, *, wide: bool, has_precision: bool
) -> _Spec | None:
    """The conversion; None for a character without meaning that takes no argument."""
    sizes = re.findall(r"hh|ll|I64|I32|I|.", size)
    bits = next((_BITS[s] for s in reversed(sizes) if s in _BITS), 32)
    from_wide = wide
    if kind in "csCSZ":
        if kind in "CS":
            from_wide = not wide
        elif kind == "Z":
            from_wide = False
        if "l" in sizes or "w" in sizes:
            from_wide = True
        elif "h" in sizes:
            from_wide = False
        kind = "Z" if kind == "Z" else kind.lower()
    elif kind == "i":
        kind = "d"
    elif kind not in "duoxXpn":
        if "*" not in (width, precision):
            return None
        kind = ""  # takes the arguments of its stars
    return _Spec(
        left="-" in flags,
        zero="0" in flags,
        alternate="#" in flags,
        sign="+" if "+" in flags else " " if " " in flags else "",
        width=None if width == "*" else _number(width) if width else -1,
        precision=None if precision == "*" else _number(precision) if has_precision else -1,
        bits=64 if kind == "p" else bits,
        kind=kind,
        wide=from_wide,
        plain=not (flags or width or has_precision),
    )


def _number(digits: str) -> int:
    """A width or precision as written, bounded (and far from Python's limit for int())."""
    return min(int(digits[-9:] or 0), MAX_OUTPUT) if len(digits) < 10 else MAX_OUTPUT


def vformat(text: bytes, next_argument: NextArgument, memory: Memory) -> bytes:
    """Narrow output (DbgPrint, _vsnprintf) of the format ``text``, which has no NUL."""
    if text == b"%s":
        address = next_argument()
        return read_string(memory, address) if address else b"(null)"
    if text == b"%.*s":  # what println! uses
        precision, address = _int(next_argument()), next_argument()
        if address and 0 <= precision <= MAX_OUTPUT:
            return read_string(memory, address, precision)
        return _string(False, address, max(precision, -1), memory, False)[0][:MAX_OUTPUT]
    compiled = _compile(text, False) if len(text) < _CACHED else _compile.__wrapped__(text, False)
    return _format(compiled, next_argument, memory, False)


def vformat_wide(text: bytes, next_argument: NextArgument, memory: Memory) -> bytes:
    """Wide output (_vsnwprintf, swprintf); format and result are UTF-16LE without a zero."""
    text = text if not len(text) & 1 else text[:-1]
    compiled = _compile(text, True) if len(text) < _CACHED else _compile.__wrapped__(text, True)
    return _format(compiled, next_argument, memory, True)


def uses_unicode(text: bytes) -> bool:
    """Whether a narrow format has a conversion of Unicode text (``%ws %S %wZ %lc`` …).

    DbgPrintEx's page allows those at PASSIVE_LEVEL only.
    """
    return any(not isinstance(item, bytes) and item.wide for item in _compile(text, False))


def _format(
    items: tuple[bytes | _Spec, ...], next_argument: NextArgument, memory: Memory, wide: bool
) -> bytes:
    out = []
    room = MAX_OUTPUT
    for item in items:
        piece = item if isinstance(item, bytes) else _convert(item, next_argument, memory, wide)
        out.append(piece)
        room -= len(piece)
        if room <= 0:
            break
    return b"".join(out)[:MAX_OUTPUT]


def _convert(spec: _Spec, next_argument: NextArgument, memory: Memory, wide: bool) -> bytes:
    left, width, precision = spec.left, spec.width, spec.precision
    if width is None:
        width = _int(next_argument())
        if width < 0:
            left, width = True, -width
        width = min(width, MAX_OUTPUT)
    if precision is None:
        precision = max(_int(next_argument()), -1)
    kind = spec.kind
    if kind == "s":
        address = next_argument()
        raw, count = _string(spec.wide, address, precision, memory, wide)
        if width <= count:
            return raw
        prefix = b""
        zero = spec.zero
    elif kind in "duoxXp" and kind:
        digits, sign, zero = _integer(spec, next_argument(), precision)
        if len(digits) + len(sign) >= width:
            text = sign + digits
            return text.encode("utf-16-le") if wide else text.encode("ascii")
        count = len(digits) + len(sign)
        encoding = "utf-16-le" if wide else "ascii"
        raw, prefix = digits.encode(encoding), sign.encode(encoding)
    elif kind == "c":
        raw = _char(next_argument(), spec.wide, wide)
        prefix, count, zero = b"", 1, spec.zero
    elif kind == "Z":
        raw, count = _counted(spec.wide, next_argument(), precision, memory, wide)
        prefix, zero = b"", spec.zero
    else:
        if kind == "n":
            next_argument()
        return b""
    if count >= width:
        return prefix + raw
    fill = width - count
    if left:
        return prefix + raw + (b" \0" if wide else b" ") * fill
    if zero:
        return prefix + (b"0\0" if wide else b"0") * fill + raw
    return (b" \0" if wide else b" ") * fill + prefix + raw


def _int(value: int) -> int:
    """The C int in an argument slot."""
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def _integer(spec: _Spec, value: int, precision: int) -> tuple[str, str, bool]:
    """Digits, what stands before them, and whether zeros may fill between the two."""
    kind = spec.kind
    value &= (1 << spec.bits) - 1
    prefix = ""
    zero = spec.zero
    if kind == "p":
        precision = 16
        kind = "X"
    if kind == "d":
        if value >> (spec.bits - 1):
            value = (1 << spec.bits) - value
            prefix = "-"
        else:
            prefix = spec.sign
        digits = str(value)
    elif kind == "u":
        digits = str(value)
    elif kind == "o":
        digits = f"{value:o}"
    else:
        digits = f"{value:x}" if kind == "x" else f"{value:X}"
        if spec.alternate and value:
            prefix = "0" + kind
    if precision >= 0:
        zero = False
        digits = digits.rjust(min(precision, _MAX_PRECISION), "0") if value or precision else ""
    if kind == "o" and spec.alternate and not digits.startswith("0"):
        digits = "0" + digits
    return digits, prefix, zero


def _string(
    from_wide: bool, address: int, precision: int, memory: Memory, wide: bool
) -> tuple[bytes, int]:
    """A terminated string in the output's encoding, and how many characters that counts."""
    if not address:
        return _null(precision, wide)
    if from_wide:
        limit = precision if 0 <= precision < MAX_OUTPUT // 2 else MAX_OUTPUT // 2
        raw = read_wide_string(memory, address, limit)
        return (raw if wide else unicode_to_ansi(raw)), len(raw) // 2
    raw = read_string(memory, address, precision if 0 <= precision < MAX_OUTPUT else MAX_OUTPUT)
    if not wide:
        return raw, len(raw)
    raw = ansi_to_unicode(raw)
    return raw, len(raw) // 2


def _counted(
    from_wide: bool, address: int, precision: int, memory: Memory, wide: bool
) -> tuple[bytes, int]:
    """An ANSI_STRING or UNICODE_STRING by its Length; the precision plays no part."""
    buffer = 0
    if address:
        header = memory.read(address, 16)
        buffer = int.from_bytes(header[8:16], "little")
    if not buffer:
        return _null(precision, wide)
    length = int.from_bytes(header[:2], "little")
    if from_wide:
        length &= ~1
    raw = memory.read(buffer, length) if length else b""
    if from_wide:
        return (raw if wide else unicode_to_ansi(raw)), length // 2
    if not wide:
        return raw, length
    raw = ansi_to_unicode(raw)
    return raw, len(raw) // 2


def _null(precision: int, wide: bool) -> tuple[bytes, int]:
    text = "(null)" if precision < 0 else "(null)"[:precision]
    return text.encode("utf-16-le" if wide else "ascii"), len(text)


def _char(value: int, from_wide: bool, wide: bool) -> bytes:
    if from_wide:
        raw = (value & 0xFFFF).to_bytes(2, "little")
        return raw if wide else unicode_to_ansi(raw)
    raw = bytes((value & 0xFF,))
    return ansi_to_unicode(raw) if wide else raw


def fit(text: bytes, count: int, *, wide: bool = False) -> tuple[bytes, int]:
    """What _snprintf (``wide``: _snwprintf) stores in a buffer of ``count`` characters.

    Answers the bytes to write and the return value: the length where the text fits, with its
    terminator where there is room; -1 where it was cut, without a terminator.
    """
    unit = 2 if wide else 1
    length = len(text) // unit
    if length < count:
        return text + bytes(unit), length
    if length == count:
        return text, length
    return text[: max(count, 0) * unit], -1
