"""Numbers, GUIDs and times as text and back, as the Rtl routines convert them.

Pure functions on Python values. Text to be read is a sequence of character codes (bytes, or
the units that :func:`.nls.units` gives), so that ANSI and Unicode routines share them.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from datetime import date
from typing import Final, NamedTuple

#: 100 ns intervals in a millisecond and in a day.
MILLISECOND: Final = 10_000
DAY: Final = 24 * 60 * 60 * 1000 * MILLISECOND

#: The bases that RtlIntegerToUnicodeString and its reverse take; 0 is for "as written" and 10.
BASES: Final = (0, 2, 8, 10, 16)

_PREFIXES: Final = {ord("b"): 2, ord("o"): 8, ord("x"): 16}
_EPOCH: Final = date(1601, 1, 1).toordinal()
_GUID: Final = re.compile(r"\{([0-9A-F]{8})((?:-[0-9A-F]{4}){3})-([0-9A-F]{12})\}", re.IGNORECASE)


class TimeFields(NamedTuple):
    """TIME_FIELDS: eight CSHORTs. ``weekday`` 0 is Sunday."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    milliseconds: int
    weekday: int


def integer(text: Sequence[int], base: int) -> int | None:
    """RtlUnicodeStringToInteger, RtlCharToInteger: 32 bits; None for a base there is not.

    Blanks (anything up to U+0020) and a sign may stand first; with base 0 then ``0x``, ``0o``
    or ``0b``. Reading ends at what is no digit (no digit at all is 0); overflow wraps.
    """
    if base not in BASES:
        return None
    at, end = 0, len(text)
    while at < end and text[at] <= 0x20:
        at += 1
    negative = at < end and text[at] == 0x2D
    if at < end and text[at] in (0x2B, 0x2D):
        at += 1
    if base == 0:
        base = 10
        if at + 1 < end and text[at] == 0x30 and text[at + 1] in _PREFIXES:
            base = _PREFIXES[text[at + 1]]
            at += 2
    value = 0
    for code in text[at:]:
        digit = _digit(code)
        if digit >= base:
            break
        value = value * base + digit & 0xFFFFFFFF
    return -value & 0xFFFFFFFF if negative else value


def _digit(code: int) -> int:
    if 0x30 <= code <= 0x39:
        return code - 0x30
    if 0x41 <= code & ~0x20 <= 0x5A and code < 0x80:
        return (code & ~0x20) - 0x37
    return 99


def digits(value: int, base: int) -> str | None:
    """RtlIntegerToUnicodeString, RtlInt64ToUnicodeString; None for a base there is not."""
    if base in (0, 10):
        return str(value)
    kind = {2: "b", 8: "o", 16: "X"}.get(base)
    return format(value, kind) if kind else None


def guid_text(raw: bytes) -> str:
    """RtlStringFromGUID: the 16 bytes of a GUID in braces and upper case."""
    a, b, c = struct.unpack_from("<IHH", raw)
    tail = raw[8:16].hex().upper()
    return f"{{{a:08X}-{b:04X}-{c:04X}-{tail[:4]}-{tail[4:]}}}"


def guid(text: str) -> bytes | None:
    """RtlGUIDFromString: the 16 bytes of a GUID in braces; None where it is none."""
    match = _GUID.match(text)
    if match is None:
        return None
    b, c, d = match[2][1:].split("-")
    head = struct.pack("<IHH", int(match[1], 16), int(b, 16), int(c, 16))
    return head + bytes.fromhex(d + match[3])


def time_fields(time: int) -> TimeFields:
    """RtlTimeToTimeFields: ``time`` in 100 ns since 1601-01-01, cut to milliseconds."""
    days, rest = divmod(max(time, 0), DAY)
    # 146,097 days are 400 years; Python's dates end in 9999, the kernel's time in 30828.
    eras, days_in_era = divmod(days, 146_097)
    day = date.fromordinal(_EPOCH + days_in_era)
    seconds, rest = divmod(rest, 1000 * MILLISECOND)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return TimeFields(
        day.year + eras * 400,
        day.month,
        day.day,
        hour,
        minute,
        second,
        rest // MILLISECOND,
        (days + 1) % 7,
    )


def time_from_fields(fields: TimeFields) -> int | None:
    """RtlTimeFieldsToTime: 100 ns since 1601-01-01; None where a field is out of its range.

    The weekday plays no part.
    """
    ok = (
        1601 <= fields.year <= 30827
        and 0 <= fields.hour < 24
        and 0 <= fields.minute < 60
        and 0 <= fields.second < 60
        and 0 <= fields.milliseconds < 1000
    )
    if not ok:
        return None
    eras, year = divmod(fields.year - 1601, 400)
    try:
        day = date(1601 + year, fields.month, fields.day)
    except ValueError:
        return None
    days = eras * 146_097 + day.toordinal() - _EPOCH
    seconds = (fields.hour * 60 + fields.minute) * 60 + fields.second
    return days * DAY + (seconds * 1000 + fields.milliseconds) * MILLISECOND
