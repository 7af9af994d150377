"""Terminated strings and blocks in the guest's memory: what the kernel's C run-time does.

Strings end in a zero unit; a unit is one byte, or two where ``wide``. Memory is read only up
to the page in which the C routine would stop reading, so that a fault has the address it has
on a real machine. Letters are folded as in the "C" locale, which is the kernel's: ASCII only.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Final

from . import nls
from .printf import read_string, read_wide_string
from .strings import Memory, write_block

_CHUNK: Final = 256
# More than there is memory: reading ends at a page that is not there.
_NO_LIMIT: Final = 1 << 48

#: Blocks are compared, copied and filled in pieces of this many bytes.
_BLOCK: Final = 1 << 16


def read(memory: Memory, address: int, limit: int = _NO_LIMIT, *, wide: bool = False) -> bytes:
    """The bytes before the terminator, of at most ``limit`` units."""
    return (read_wide_string if wide else read_string)(memory, address, limit)


def length(memory: Memory, address: int, limit: int = _NO_LIMIT, *, wide: bool = False) -> int:
    """strlen, wcslen, strnlen, wcsnlen: units before the terminator."""
    return len(read(memory, address, limit, wide=wide)) // (2 if wide else 1)


def fold(unit: int) -> int:
    """tolower of the "C" locale."""
    return unit + 32 if 0x41 <= unit <= 0x5A else unit


def _units(raw: bytes, wide: bool) -> bytes | array[int]:
    return nls.units(raw) if wide else raw


def _room(address: int, wide: bool) -> int:
    """Units before the end of the page, at least the one that lies across it."""
    left = 0x1000 - (address & 0xFFF)
    return min(left // 2 or 1, _CHUNK) if wide else min(left, _CHUNK)


def compare(
    memory: Memory,
    a: int,
    b: int,
    limit: int = _NO_LIMIT,
    *,
    wide: bool = False,
    ignore_case: bool = False,
) -> int:
    """strcmp, strncmp, _stricmp, _wcsnicmp …: the difference of the first units that differ."""
    size = 2 if wide else 1
    while limit > 0:
        count = min(limit, _room(a, wide), _room(b, wide))
        left = _units(memory.read(a, count * size), wide)
        right = _units(memory.read(b, count * size), wide)
        for x, y in zip(left, right, strict=True):
            if x != y:
                if ignore_case:
                    x, y = fold(x), fold(y)
                if x != y:
                    return x - y
            elif x == 0:
                return 0
        limit -= count
        a += count * size
        b += count * size
    return 0


def _walk(memory: Memory, address: int, wide: bool) -> Iterator[tuple[int, int]]:
    """Address and value of every unit, the terminator included."""
    size = 2 if wide else 1
    while True:
        count = _room(address, wide)
        for unit in _units(memory.read(address, count * size), wide):
            yield address, unit
            if unit == 0:
                return
            address += size


def find(memory: Memory, address: int, unit: int, *, wide: bool = False, last: bool = False) -> int:
    """strchr, wcschr, strrchr, wcsrchr: the address of ``unit`` (it may be 0), or NULL."""
    found = 0
    for at, value in _walk(memory, address, wide):
        if value == unit:
            if not last:
                return at
            found = at
    return found


def find_text(memory: Memory, address: int, text: int, *, wide: bool = False) -> int:
    """strstr, wcsstr: the address of the first occurrence, or NULL."""
    haystack = read(memory, address, wide=wide)
    needle = read(memory, text, wide=wide)
    at = haystack.find(needle)
    while wide and at > 0 and at & 1:
        at = haystack.find(needle, at + 1)
    return address + at if at >= 0 else 0


def span(memory: Memory, address: int, accept: int, *, wide: bool, inside: bool) -> int:
    """strspn (``inside``) and strcspn: how many leading units are, or are not, in ``accept``."""
    units = set(_units(read(memory, accept, wide=wide), wide))
    count = 0
    for _at, value in _walk(memory, address, wide):
        if value == 0 or (value in units) != inside:
            break
        count += 1
    return count


def copy(memory: Memory, target: int, source: int, *, wide: bool = False) -> None:
    """strcpy, wcscpy."""
    memory.write(target, read(memory, source, wide=wide) + (b"\0\0" if wide else b"\0"))


def copy_counted(
    memory: Memory, target: int, source: int, count: int, *, wide: bool = False
) -> None:
    """strncpy, wcsncpy: exactly ``count`` units, zeros after the end; no terminator else."""
    size = 2 if wide else 1
    text = read(memory, source, count, wide=wide)
    write_block(memory, target, text)
    rest = count * size - len(text)
    if rest > 0:
        fill(memory, target + len(text), rest, 0)


def append(
    memory: Memory, target: int, source: int, limit: int = _NO_LIMIT, *, wide: bool = False
) -> None:
    """strcat, wcscat, strncat, wcsncat: always terminated."""
    end = target + len(read(memory, target, wide=wide))
    text = read(memory, source, limit, wide=wide)
    memory.write(end, text + (b"\0\0" if wide else b"\0"))


def compare_blocks(memory: Memory, a: int, b: int, size: int) -> int:
    """memcmp: -1, 0 or 1."""
    same = same_bytes(memory, a, b, size)
    if same == size:
        return 0
    return 1 if memory.read(a + same, 1) > memory.read(b + same, 1) else -1


def same_bytes(memory: Memory, a: int, b: int, size: int) -> int:
    """RtlCompareMemory: how many bytes are equal before the first that differs."""
    done = 0
    while done < size:
        # Page by page of each, so that a difference hides what lies beyond it.
        count = min(size - done, 0x1000 - (a + done & 0xFFF), 0x1000 - (b + done & 0xFFF))
        left, right = memory.read(a + done, count), memory.read(b + done, count)
        if left != right:
            return done + next(
                i for i, (x, y) in enumerate(zip(left, right, strict=True)) if x != y
            )
        done += count
    return size


def find_byte(memory: Memory, address: int, value: int, size: int) -> int:
    """memchr: the address, or NULL."""
    done = 0
    while done < size:
        count = min(size - done, 0x1000 - (address + done & 0xFFF))
        at = memory.read(address + done, count).find(bytes((value & 0xFF,)))
        if at >= 0:
            return address + done + at
        done += count
    return 0


def move(memory: Memory, target: int, source: int, size: int) -> None:
    """memmove, and memcpy, which on x64 Windows is the same routine: blocks may overlap.

    Done in pieces, so that a wild size faults at the first missing page rather than being
    read as a whole.
    """
    if target <= source or target >= source + size:
        done = 0
        while done < size:
            count = min(size - done, _BLOCK)
            memory.write(target + done, memory.read(source + done, count))
            done += count
    else:
        left = size
        while left:
            count = min(left, _BLOCK)
            left -= count
            memory.write(target + left, memory.read(source + left, count))


def fill(memory: Memory, address: int, size: int, value: int) -> None:
    """memset."""
    block = bytes((value & 0xFF,)) * min(size, _BLOCK)
    done = 0
    while done < size:
        count = min(size - done, _BLOCK)
        memory.write(address + done, block if count == len(block) else block[:count])
        done += count
