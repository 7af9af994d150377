r"""The volume's files as a program in the client's process has them, by Win32 paths (``C:\…``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import fs_mapping, fs_service
from .driver import NtFailure
from .fs import OpenFile
from .fs_service import Create
from .structs import const

if TYPE_CHECKING:
    from .kernel import Kernel


def _rest(path: str) -> str:
    """The path on the volume. Raises NtFailure for other drives."""
    if path[:2].upper() != "C:" or path[2:3] not in ("", "\\"):
        raise NtFailure("STATUS_OBJECT_PATH_SYNTAX_BAD", rf"{path!r} does not begin with C:\ ")
    return path[2:]


def read(k: Kernel, path: str, offset: int, length: int) -> tuple[bytes, int]:
    """Part of a file, and how long it is."""
    how = Create(const("FILE_READ_DATA"), 0, 7, const("FILE_OPEN"), 0x40)
    obj, _ = fs_service.create(k, None, _rest(path), how, "")
    file = obj.payload
    assert isinstance(file, OpenFile)
    fs_mapping.pull(k, file.node)
    data = bytes(file.node.data)
    k.files.cleanup(obj)
    k.ob.dereference(obj.address)
    return data[offset : offset + length], len(data)


def write(k: Kernel, path: str, offset: int, data: bytes) -> None:
    """Write at ``offset``; from 0 on the file is made anew, with the folders above it."""
    parts = k.files.split(_rest(path))
    k.files.make_folders(parts[:-1])
    disposition = const("FILE_OVERWRITE_IF" if offset == 0 else "FILE_OPEN")
    how = Create(const("FILE_WRITE_DATA"), 0, 7, disposition, 0x40)
    obj, _ = fs_service.create(k, None, _rest(path), how, "")
    file = obj.payload
    assert isinstance(file, OpenFile)
    try:
        fs_service.write(k, file, offset, data)
    finally:
        k.files.cleanup(obj)
        k.ob.dereference(obj.address)


def delete(k: Kernel, path: str) -> None:
    """Delete a file or an empty folder."""
    fs_service.delete(k, None, _rest(path))


def listing(k: Kernel, path: str) -> list[dict[str, Any]]:
    """What is in a folder: names, whether they are folders, sizes."""
    node = k.files.find(_rest(path))
    if node.children is None:
        raise NtFailure("STATUS_NOT_A_DIRECTORY", f"{path} is a file")
    return [
        {"name": n.name, "folder": n.is_folder, "size": len(n.data)}
        for _, n in sorted(node.children.items())
    ]
