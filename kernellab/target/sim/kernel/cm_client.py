r"""The registry as a program in the client's process has it: by full paths, keys made on the way.

Drivers' registry callbacks see these operations like any program's. Paths begin with ``HKLM``,
``HKU`` or ``HKCU``, or are the kernel's own, ``\REGISTRY\…``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from kernellab import ntdata

from .attributes import Attributes
from .cm import USER_SID, KeyBody, KeyNode
from .cm_service import (
    CmCloseHandle,
    NtCreateKey,
    NtDeleteKey,
    NtDeleteValueKey,
    NtSetValueKey,
    Opening,
)
from .driver import NtFailure
from .execution import Steps
from .ob import Object
from .structs import const

if TYPE_CHECKING:
    from .kernel import Kernel

_ROOTS: Final = {
    "HKLM": r"\REGISTRY\MACHINE",
    "HKEY_LOCAL_MACHINE": r"\REGISTRY\MACHINE",
    "HKU": r"\REGISTRY\USER",
    "HKEY_USERS": r"\REGISTRY\USER",
    "HKCU": rf"\REGISTRY\USER\{USER_SID}",
    "HKEY_CURRENT_USER": rf"\REGISTRY\USER\{USER_SID}",
}


def nt_path(path: str) -> str:
    """The kernel's path for one that begins as Win32's predefined keys do."""
    head, slash, rest = path.strip("\\").partition("\\")
    root = _ROOTS.get(head.upper())
    return f"{root}{slash}{rest}" if root is not None else path.rstrip("\\")


def _checked(status: int, what: str) -> None:
    if not ntdata.nt_success(status):
        raise NtFailure(status, f"{what}: {ntdata.status_name(status)}")


def _open(k: Kernel, path: str, *, create: bool) -> Steps:
    """A handle to the key; the keys above it are made too."""
    parts = nt_path(path).split("\\")
    first = len(parts)
    if create:
        # As RegCreateKeyEx: from the first one on that is missing.
        while first > 3 and k.cm.find("\\".join(parts[: first - 1])) is None:
            first -= 1
    for count in range(first, len(parts) + 1):
        attributes = Attributes(0, "\\".join(parts[:count]), const("OBJ_CASE_INSENSITIVE"))
        opening = Opening(k, attributes, const("KEY_ALL_ACCESS"), "", create)
        status = yield from NtCreateKey(opening)
        _checked(status, path)
        if count < len(parts):
            yield from CmCloseHandle(k, opening.handle, k.thread.current_process.pid)
    return opening.handle


def _with_key(
    k: Kernel, path: str, action: Callable[[Object], Steps], *, create: bool = False
) -> Steps:
    pid = k.thread.current_process.pid
    handle = yield from _open(k, path, create=create)
    entry = k.ob.find(handle, pid)
    assert entry is not None
    status = yield from action(entry.object)
    yield from CmCloseHandle(k, handle, pid)
    _checked(status, path)
    return 0


def create(k: Kernel, path: str) -> Steps:
    """Make a key where it is missing."""
    handle = yield from _open(k, path, create=True)
    yield from CmCloseHandle(k, handle, k.thread.current_process.pid)
    return 0


def set_value(k: Kernel, path: str, name: str, kind: int, data: bytes) -> Steps:
    """Set a value, making the key where it is missing."""
    return (
        yield from _with_key(
            k, path, lambda obj: NtSetValueKey(k, obj, name, kind, data), create=True
        )
    )


def delete_value(k: Kernel, path: str, name: str) -> Steps:
    """Delete a value."""
    return (yield from _with_key(k, path, lambda obj: NtDeleteValueKey(k, obj, name)))


def delete_key(k: Kernel, path: str) -> Steps:
    """Delete a key and all below it, the deepest first."""
    node = k.cm.find(nt_path(path))
    for subkey in list(node.listed()) if node is not None else ():
        yield from delete_key(k, subkey.path)
    return (yield from _with_key(k, path, lambda obj: NtDeleteKey(k, obj)))


def read(k: Kernel, path: str) -> Steps:
    """What is in a key: the :class:`KeyNode`."""
    found: list[KeyNode] = []

    def look(obj: Object) -> Steps:
        assert isinstance(obj.payload, KeyBody)
        found.append(obj.payload.node)
        return 0
        yield  # an activity like the others, which has nothing to wait for

    yield from _with_key(k, path, look)
    return found[0]


def describe(node: KeyNode) -> dict[str, Any]:
    """A key as the protocol has it, data as hexadecimal text."""
    return {
        "path": node.path,
        "values": [
            {"name": v.name, "type": v.type, "data": v.data.hex()} for v in node.values.values()
        ],
        "subkeys": [subkey.name for subkey in node.listed()],
    }
