"""What is told of keys and values, in the structures of each information class.

How short buffers are answered is the same for all: less than the fixed part is
STATUS_BUFFER_TOO_SMALL and nothing is written, less than everything is STATUS_BUFFER_OVERFLOW and
as much as fits is written; the size that is needed is told in both cases. WDK pages:
"ZwQueryValueKey function (wdm.h)", "ZwQueryKey function (wdm.h)", "KEY_VALUE_FULL_INFORMATION
structure (wdm.h)".
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from .cm import KeyNode, Value
from .driver import NtFailure
from .structs import const

if TYPE_CHECKING:
    from ..machine.memory import Memory

#: Sizes of the fixed parts: what stands before the text or data.
_VALUE_FIXED: Final = {0: 12, 1: 20, 2: 12, 3: 20, 4: 8}
_KEY_FIXED: Final = {0: 16, 1: 24, 2: 44, 3: 4, 4: 40}
#: What ZwEnumerateKey has of them: basic, node, full.
ENUMERATED: Final = (0, 1, 2)


def text(name: str) -> bytes:
    """A name as it stands in these structures: UTF-16 without a NUL."""
    return name.encode("utf-16-le", "surrogatepass")


def value_information(value: Value, kind: int) -> tuple[bytes, int]:
    """A KEY_VALUE_INFORMATION_CLASS' structure, and the size of its fixed part."""
    name, data = text(value.name), value.data
    if kind == const("KeyValueBasicInformation"):
        raw = struct.pack("<III", 0, value.type, len(name)) + name
    elif kind in (
        const("KeyValueFullInformation"),
        const("KeyValueFullInformationAlign64"),
    ):
        step = 4 if kind == const("KeyValueFullInformation") else 8
        start = -(-(20 + len(name)) // step) * step
        raw = struct.pack("<IIIII", 0, value.type, start, len(data), len(name)) + name
        raw = raw.ljust(start, b"\0") + data
    elif kind == const("KeyValuePartialInformation"):
        raw = struct.pack("<III", 0, value.type, len(data)) + data
    elif kind == const("KeyValuePartialInformationAlign64"):
        raw = struct.pack("<II", value.type, len(data)) + data
    else:
        raise NtFailure("STATUS_INVALID_PARAMETER", f"no value information class {kind}")
    return raw, _VALUE_FIXED[kind]


def key_information(node: KeyNode, kind: int) -> tuple[bytes, int]:
    """A KEY_INFORMATION_CLASS' structure, and the size of its fixed part."""
    name, key_class = text(node.name), text(node.key_class)
    if kind == const("KeyBasicInformation"):
        raw = struct.pack("<QII", node.written, 0, len(name)) + name
    elif kind == const("KeyNodeInformation"):
        start = -(-(24 + len(name)) // 4) * 4 if key_class else 0xFFFF_FFFF
        raw = struct.pack("<QIIII", node.written, 0, start, len(key_class), len(name)) + name
        if key_class:
            raw = raw.ljust(start, b"\0") + key_class
    elif kind == const("KeyFullInformation"):
        start = 44 if key_class else 0xFFFF_FFFF
        raw = struct.pack(
            "<Q9I",
            *(node.written, 0, start, len(key_class), *_subkeys(node)),
            *(_longest(k.key_class for k in node.subkeys.values()), *_values(node)),
        )
        raw += key_class
    elif kind == const("KeyNameInformation"):
        path = text(node.path)
        raw = struct.pack("<I", len(path)) + path
    elif kind == const("KeyCachedInformation"):
        raw = struct.pack("<Q8I", node.written, 0, *_subkeys(node), *_values(node), len(name), 0)
    else:
        raise NtFailure("STATUS_INVALID_PARAMETER", f"no key information class {kind}")
    return raw, _KEY_FIXED[kind]


def _longest(names: Iterable[str]) -> int:
    return max((len(text(name)) for name in names), default=0)


def _subkeys(node: KeyNode) -> tuple[int, int]:
    return len(node.subkeys), _longest(k.name for k in node.subkeys.values())


def _values(node: KeyNode) -> tuple[int, int, int]:
    values = node.values.values()
    size = max((len(v.data) for v in values), default=0)
    return len(values), _longest(v.name for v in values), size


def deliver(
    memory: Memory, raw: bytes, fixed: int, buffer: int, length: int, result_length: int
) -> int:
    """Write a structure to the caller's buffer by the rules above; the NTSTATUS."""
    if result_length:
        memory.set_u32(result_length, len(raw))
    if length < fixed:
        return const("STATUS_BUFFER_TOO_SMALL")
    memory.write(buffer, raw[:length])
    return 0 if length >= len(raw) else const("STATUS_BUFFER_OVERFLOW")
