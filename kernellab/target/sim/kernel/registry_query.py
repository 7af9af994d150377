"""RtlQueryRegistryValues: what each entry of its table does.

WDK page: "RtlQueryRegistryValues function (wdm.h)".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernellab import ntdata

from .bugcheck import BugCheck
from .cm import (
    REG_EXPAND_SZ,
    REG_MULTI_SZ,
    REG_NONE,
    REG_SZ,
    KeyNode,
    Value,
    node_of,
)
from .cm_notify import Scratch
from .cm_service import NtDeleteValueKey
from .driver import NtFailure, at_same_irql
from .execution import Call, Steps
from .ob import Object
from .structs import Struct, const, size_of

if TYPE_CHECKING:
    from ..machine.memory import Memory
    from .kernel import Kernel

_TABLE: Final = "RTL_QUERY_REGISTRY_TABLE"
_TAG: Final = int.from_bytes(b"RtlQ", "little")
_TEXT: Final = (REG_SZ, REG_EXPAND_SZ, REG_MULTI_SZ)
#: FAST_FAIL_UNSAFE_REGISTRY_ACCESS.
_UNSAFE_ACCESS: Final = 6


def read_wide(memory: Memory, address: int) -> str:
    """A string of UTF-16 that a NUL ends."""
    raw = b""
    while (unit := memory.read(address + len(raw), 2)) != b"\0\0":
        raw += unit
    return raw.decode("utf-16-le", "surrogatepass")


class Query:
    """One call: the key it began with, the one a SUBKEY entry has moved to."""

    def __init__(self, k: Kernel, base: Object, context: int, owner: str) -> None:
        self._k = k
        self._base = base
        self._current = base
        self._context = context
        self._owner = owner
        self._scratch = Scratch(k)

    def close(self) -> None:
        """Give back what was needed."""
        self._leave()
        self._scratch.free()

    def _leave(self) -> None:
        if self._current is not self._base:
            self._k.ob.dereference(self._current.address)
            self._current = self._base

    def _has(self, entry: Struct, flag: str) -> bool:
        return bool(entry["Flags"] & const(f"RTL_QUERY_REGISTRY_{flag}"))

    def run(self, table: int) -> Steps:
        """Take the entries in their order until the one that ends the table, or a failure."""
        while True:
            entry = Struct(self._k.memory, _TABLE, table)
            more = self._has(entry, "SUBKEY") or self._has(entry, "DIRECT")
            if not entry["QueryRoutine"] and not more:
                return 0
            try:
                status = yield from self._take(entry)
            except NtFailure as failure:
                return failure.status
            if not ntdata.nt_success(status):
                return status
            table += size_of(_TABLE)

    def _take(self, entry: Struct) -> Steps:
        direct = self._has(entry, "DIRECT")
        if direct and (not entry["Name"] or self._has(entry, "SUBKEY") or entry["QueryRoutine"]):
            return const("STATUS_INVALID_PARAMETER")
        if self._has(entry, "TOPKEY") or self._has(entry, "SUBKEY"):
            self._leave()
        if self._has(entry, "SUBKEY"):
            if not entry["Name"]:
                return const("STATUS_INVALID_PARAMETER")
            path = read_wide(self._k.memory, entry["Name"])
            node, _ = self._k.cm.walk(node_of(self._current), path)
            self._current = self._k.cm.new_object(node, "")
            return (yield from self._each(entry)) if entry["QueryRoutine"] else 0
        if entry["Name"]:
            return (yield from self._one(entry))
        if self._has(entry, "NOVALUE"):
            return (yield from self._call(entry, "", REG_NONE, b"", named=False))
        return (yield from self._each(entry))

    def _node(self) -> KeyNode:
        return node_of(self._current)

    def _each(self, entry: Struct) -> Steps:
        """Every value of the key."""
        values = list(self._node().values.values())
        if not values and self._has(entry, "REQUIRED"):
            return const("STATUS_OBJECT_NAME_NOT_FOUND")
        for value in values:
            status = yield from self._give(entry, value)
            if not ntdata.nt_success(status):
                return status
        return 0

    def _one(self, entry: Struct) -> Steps:
        """The value with the entry's name, or the default that the entry has for it."""
        name = read_wide(self._k.memory, entry["Name"])
        try:
            value = self._k.cm.value(self._node(), name)
        except NtFailure:
            return (yield from self._default(entry, name))
        return (yield from self._give(entry, value))

    def _default(self, entry: Struct, name: str) -> Steps:
        if self._has(entry, "REQUIRED"):
            return const("STATUS_OBJECT_NAME_NOT_FOUND")
        kind = self._default_type(entry)
        if kind == REG_NONE:
            return 0
        at, length = entry["DefaultData"], entry["DefaultLength"]
        if at and not length and kind in _TEXT:
            data = self._text_at(at, many=kind == REG_MULTI_SZ)
        else:
            data = self._k.memory.read(at, length) if length else b""
        return (yield from self._deliver(entry, name, kind, data))

    def _text_at(self, at: int, *, many: bool) -> bytes:
        data = b""
        while True:
            text = read_wide(self._k.memory, at + len(data))
            data += text.encode("utf-16-le", "surrogatepass") + b"\0\0"
            if not many or not text:
                return data

    def _default_type(self, entry: Struct) -> int:
        if self._has(entry, "TYPECHECK"):
            return entry["DefaultType"] & 0x00FF_FFFF
        return entry["DefaultType"]

    def _give(self, entry: Struct, value: Value) -> Steps:
        """One value that is there, which DELETE takes away afterwards."""
        status = yield from self._deliver(entry, value.name, value.type, value.data)
        if ntdata.nt_success(status) and self._has(entry, "DELETE"):
            yield from NtDeleteValueKey(self._k, self._current, value.name)
        return status

    def _deliver(self, entry: Struct, name: str, kind: int, data: bytes) -> Steps:
        expand = not self._has(entry, "NOEXPAND")
        if self._has(entry, "DIRECT"):
            if expand and kind == REG_MULTI_SZ:
                return const("STATUS_INVALID_PARAMETER")
            return self._direct(entry, kind, data)
        if expand and kind == REG_MULTI_SZ:
            for text in data.decode("utf-16-le", "surrogatepass").split("\0"):
                if not text:
                    break
                raw = (text + "\0").encode("utf-16-le", "surrogatepass")
                status = yield from self._call(entry, name, REG_SZ, raw)
                if not ntdata.nt_success(status):
                    return status
            return 0
        if expand and kind == REG_EXPAND_SZ:
            kind = REG_SZ
        return (yield from self._call(entry, name, kind, data))

    def _call(
        self, entry: Struct, name: str, kind: int, data: bytes, *, named: bool = True
    ) -> Steps:
        """The caller's routine. That its own buffer is too small is no failure of the query."""
        text = (name + "\0").encode("utf-16-le", "surrogatepass")
        arguments = (
            self._scratch.data(text) if named else 0,
            kind,
            self._scratch.data(data),
            len(data),
            self._context,
            entry["EntryContext"],
        )
        call = Call(entry["QueryRoutine"], arguments)
        status = yield from at_same_irql(self._k, call, "a registry query routine")
        status &= 0xFFFFFFFF
        return 0 if status == const("STATUS_BUFFER_TOO_SMALL") else status

    # -- RTL_QUERY_REGISTRY_DIRECT ----------------------------------------------------------------

    def _direct(self, entry: Struct, kind: int, data: bytes) -> int:
        """Store a value where EntryContext points, by the rules for its type."""
        if self._has(entry, "TYPECHECK"):
            if entry["DefaultType"] >> 24 != kind:
                return const("STATUS_OBJECT_TYPE_MISMATCH")
        elif self._node().path.upper().startswith("\\REGISTRY\\USER\\"):
            raise BugCheck(
                *("KERNEL_SECURITY_CHECK_FAILURE", _UNSAFE_ACCESS),
                message="RtlQueryRegistryValues with RTL_QUERY_REGISTRY_DIRECT read from a hive "
                "that programs write without RTL_QUERY_REGISTRY_TYPECHECK: whoever sets the "
                "value decides how much of the driver's buffer is overwritten.",
            )
        memory, at = self._k.memory, entry["EntryContext"]
        if kind in _TEXT:
            return self._direct_text(Struct(memory, "UNICODE_STRING", at), data)
        if len(data) <= 4:
            memory.write(at, data)
            return 0
        room = memory.u32(at)
        if room >> 31:
            # A negative size: only the data is stored.
            if len(data) > (1 << 32) - room:
                return const("STATUS_BUFFER_TOO_SMALL")
            memory.write(at, data)
            return 0
        if room < len(data) + 8:
            return const("STATUS_BUFFER_TOO_SMALL")
        memory.write(at + 8, data)
        memory.set_u32(at, len(data))
        memory.set_u32(at + 4, kind)
        return 0

    def _direct_text(self, string: Struct, data: bytes) -> int:
        if len(data) > 0xFFFF:
            return const("STATUS_BUFFER_TOO_SMALL")
        if not string["Buffer"]:
            buffer = self._k.pool.allocate(
                *(len(data), _TAG),
                paged=True,
                owner=self._owner,
            )
            if not buffer:
                return const("STATUS_INSUFFICIENT_RESOURCES")
            string["Buffer"], string["MaximumLength"] = buffer, len(data)
        elif len(data) > string["MaximumLength"]:
            return const("STATUS_BUFFER_TOO_SMALL")
        if data:
            self._k.memory.write(string["Buffer"], data)
        string["Length"] = len(data) - 2 if data.endswith(b"\0\0") else len(data)
        return 0
