"""Opening, reading, writing and deleting files of the volume, as the file system does it.

WDK pages: "ZwCreateFile function (wdm.h)", "ZwReadFile function (wdm.h)", "ZwWriteFile function
(wdm.h)", "FILE_DISPOSITION_INFORMATION structure (ntddk.h)".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from . import fs_mapping
from .attributes import Attributes, handle_target
from .dispatcher import Kind
from .driver import NtFailure
from .fs import Node, OpenFile, Volume
from .ob import Object
from .obtypes import type_of
from .structs import Struct, const, size_of, write_unicode_string

if TYPE_CHECKING:
    from .kernel import Kernel

_SUPERSEDE, _OPEN, _CREATE, _OPEN_IF, _OVERWRITE, _OVERWRITE_IF = range(6)
#: IoStatusBlock.Information of a create.
_SUPERSEDED, _OPENED, _CREATED, _OVERWRITTEN = range(4)
_READ, _WRITE, _APPEND, _EXECUTE, _DELETE = 0x1, 0x2, 0x4, 0x20, 0x10000
_SYNCHRONIZE: Final = 0x100000
_SHARE_READ, _SHARE_WRITE, _SHARE_DELETE = 1, 2, 4
_DIRECTORY_FILE, _SYNC, _NON_DIRECTORY, _DELETE_ON_CLOSE = 0x1, 0x30, 0x40, 0x1000


@dataclass(frozen=True, slots=True)
class Create:
    """What a caller of ZwCreateFile asks for."""

    access: int
    attributes: int
    share: int
    disposition: int
    options: int

    def check(self) -> None:
        """Raises NtFailure for combinations that the page forbids."""
        folder = bool(self.options & _DIRECTORY_FILE)
        wrong = (
            self.disposition > _OVERWRITE_IF
            or (folder and self.options & _NON_DIRECTORY)
            or (folder and self.disposition not in (_OPEN, _CREATE, _OPEN_IF))
            or (self.options & _SYNC and not self.access & _SYNCHRONIZE)
            or self.options & _SYNC == _SYNC
            or (self.options & _DELETE_ON_CLOSE and not self.access & _DELETE)
        )
        if wrong:
            raise NtFailure("STATUS_INVALID_PARAMETER", "options that do not go together")


def locate(k: Kernel, attributes: Attributes) -> tuple[Node | None, str]:
    """Where a name of this volume begins, and the path from there.

    Raises NtFailure with STATUS_OBJECT_TYPE_MISMATCH for what is no file system.
    """
    if attributes.root:
        base = handle_target(k, attributes.root)
        if isinstance(base.payload, OpenFile):
            return base.payload.node, attributes.name or ""
    found = k.names.walk(attributes.name or "")
    if found.object is None:
        raise NtFailure(found.status, f"there is no object {attributes.name}")
    if not isinstance(found.object.payload, Volume):
        raise NtFailure("STATUS_OBJECT_TYPE_MISMATCH", f"{attributes.name} is no file")
    return None, found.rest


def create(k: Kernel, start: Node | None, path: str, how: Create, owner: str) -> tuple[Object, int]:
    """Open or create a file: the file object, with its creator's reference, and what was done."""
    how.check()
    volume = k.files
    parts = volume.split(path)
    folder, node = volume.walk(parts, start)
    information = _OPENED
    if node is None:
        node = _make(volume, folder, parts[-1], path, how)
        information = _CREATED
    else:
        _may_open(node, how)
        if not node.is_folder and how.disposition in (_SUPERSEDE, _OVERWRITE, _OVERWRITE_IF):
            volume.resize(node, 0)
            if how.disposition == _SUPERSEDE:
                node.created, information = volume.now(), _SUPERSEDED
            else:
                information = _OVERWRITTEN
    return _file_object(k, node, how, owner), information


def _make(volume: Volume, folder: Node, name: str, path: str, how: Create) -> Node:
    if how.disposition in (_OPEN, _OVERWRITE):
        raise NtFailure("STATUS_OBJECT_NAME_NOT_FOUND", f"there is no file {path}")
    if folder.delete_pending:
        raise NtFailure("STATUS_DELETE_PENDING", f"{folder.path} is being deleted")
    is_folder = bool(how.options & _DIRECTORY_FILE)
    if path.endswith("\\") and not is_folder:
        raise NtFailure("STATUS_OBJECT_NAME_INVALID", f"{path} ends as a folder's path does")
    kept = how.attributes & const("FILE_ATTRIBUTE_VALID_SET_FLAGS")
    kept &= ~const("FILE_ATTRIBUTE_NORMAL")
    return volume.make(folder, name, is_folder=is_folder, attributes=kept)


def _may_open(node: Node, how: Create) -> None:
    if node.delete_pending:
        raise NtFailure("STATUS_DELETE_PENDING", f"{node.path} is being deleted")
    if how.disposition == _CREATE:
        raise NtFailure("STATUS_OBJECT_NAME_COLLISION", f"{node.path} exists already")
    if node.is_folder and how.options & _NON_DIRECTORY:
        raise NtFailure("STATUS_FILE_IS_A_DIRECTORY", f"{node.path} is a folder")
    if not node.is_folder and how.options & _DIRECTORY_FILE:
        raise NtFailure("STATUS_NOT_A_DIRECTORY", f"{node.path} is a file")
    overwrite = how.disposition in (_SUPERSEDE, _OVERWRITE, _OVERWRITE_IF)
    if node.is_folder and overwrite:
        raise NtFailure("STATUS_OBJECT_NAME_COLLISION", f"{node.path} is a folder")
    access = type_of("File").map(how.access)
    wanted = access | (_WRITE if overwrite else 0)
    read_only = node.attributes & const("FILE_ATTRIBUTE_READONLY") and not node.is_folder
    if read_only and wanted & (_WRITE | _APPEND):
        raise NtFailure("STATUS_ACCESS_DENIED", f"{node.path} is read-only")
    _check_sharing(node, wanted, how.share)


def _check_sharing(node: Node, access: int, share: int) -> None:
    """WDK: "IoCheckShareAccess function (wdm.h)"."""
    rules = (
        (_READ | _EXECUTE, _SHARE_READ),
        (_WRITE | _APPEND, _SHARE_WRITE),
        (_DELETE, _SHARE_DELETE),
    )
    data = _READ | _EXECUTE | _WRITE | _APPEND | _DELETE
    for other in node.opens:
        if not other.access & data:
            continue
        for rights, flag in rules:
            if (access & rights and not other.share & flag) or (
                other.access & rights and not share & flag and access & data
            ):
                raise NtFailure("STATUS_SHARING_VIOLATION", f"{node.path} is open elsewhere")


def _file_object(k: Kernel, node: Node, how: Create, owner: str) -> Object:
    header, path = size_of("FILE_OBJECT"), node.path
    address = k.new_object(header + 2 * len(path) + 2)
    access = type_of("File").map(how.access)
    entry = Struct(k.memory, "FILE_OBJECT", address)
    entry["Type"], entry["Size"] = const("IO_TYPE_FILE"), header
    entry["DeviceObject"] = k.files.device.address
    entry["ReadAccess"] = bool(access & (_READ | _EXECUTE))
    entry["WriteAccess"] = bool(access & (_WRITE | _APPEND))
    entry["DeleteAccess"] = bool(access & _DELETE)
    entry["SharedRead"] = bool(how.share & _SHARE_READ)
    entry["SharedWrite"] = bool(how.share & _SHARE_WRITE)
    entry["SharedDelete"] = bool(how.share & _SHARE_DELETE)
    entry["Flags"] = const("FO_SYNCHRONOUS_IO") if how.options & _SYNC else 0
    write_unicode_string(k.memory, entry.at("FileName"), address + header, path)
    k.dispatcher.initialize(entry.at("Event"), Kind.NOTIFICATION_EVENT, size_of("KEVENT"), 0)
    file = OpenFile(node, address, access, how.share, how.options)
    node.opens.append(file)
    return k.ob.insert(
        Object(
            *(address, "File", file, "", owner),
            on_delete=k.ob.free,
            on_close=k.files.cleanup,
        )
    )


# -- data ---------------------------------------------------------------------------------------


def position(k: Kernel, file: OpenFile, offset: int | None, *, write: bool) -> int:
    """Where a transfer begins. ``offset`` is signed; None where the caller gave no pointer."""
    entry = Struct(k.memory, "FILE_OBJECT", file.address)
    synchronous = bool(entry["Flags"] & const("FO_SYNCHRONOUS_IO"))
    if write and (offset == -1 or not file.access & _WRITE):
        return len(file.node.data)
    if offset is None or offset == -2:
        if not synchronous:
            raise NtFailure("STATUS_INVALID_PARAMETER", "no ByteOffset for an asynchronous file")
        return entry["CurrentByteOffset"]
    if offset < 0:
        raise NtFailure("STATUS_INVALID_PARAMETER", "a negative ByteOffset")
    return offset


def _moved(k: Kernel, file: OpenFile, to: int) -> None:
    entry = Struct(k.memory, "FILE_OBJECT", file.address)
    if entry["Flags"] & const("FO_SYNCHRONOUS_IO"):
        entry["CurrentByteOffset"] = to


def _may(file: OpenFile, rights: int) -> None:
    if file.node.is_folder:
        raise NtFailure("STATUS_INVALID_DEVICE_REQUEST", f"{file.node.path} is a folder")
    if not file.access & rights:
        raise NtFailure("STATUS_ACCESS_DENIED", f"{file.node.path} was not opened for that")


def read(k: Kernel, file: OpenFile, offset: int | None, length: int) -> bytes:
    """Read. Raises NtFailure with STATUS_END_OF_FILE where nothing is left."""
    _may(file, _READ)
    start = position(k, file, offset, write=False)
    fs_mapping.pull(k, file.node)
    data = bytes(file.node.data[start : start + length])
    if length and not data:
        raise NtFailure("STATUS_END_OF_FILE", "the end of the file")
    file.node.accessed = k.files.now()
    _moved(k, file, start + len(data))
    return data


def write(k: Kernel, file: OpenFile, offset: int | None, data: bytes) -> None:
    """Write; a gap behind the old end is zero."""
    _may(file, _WRITE | _APPEND)
    start = position(k, file, offset, write=True)
    node = file.node
    if start + len(data) > len(node.data):
        k.files.resize(node, start + len(data))
    node.data[start : start + len(data)] = data
    fs_mapping.push(k, node, start, start + len(data))
    k.files.touch(node)
    _moved(k, file, start + len(data))


# -- deleting and renaming ------------------------------------------------------------------------


def delete(k: Kernel, start: Node | None, path: str) -> None:
    """Open a file or folder for DELETE, and delete it. Raises NtFailure where it cannot."""
    how = Create(_DELETE, 0, 7, _OPEN, 0)
    obj, _ = create(k, start, path, how, "")
    file = obj.payload
    assert isinstance(file, OpenFile)
    try:
        set_delete(file, delete=True)
    finally:
        k.files.cleanup(obj)
        k.ob.dereference(obj.address)


def set_delete(file: OpenFile, *, delete: bool) -> None:
    """FileDispositionInformation: delete with the last close, or not after all."""
    node = file.node
    if delete:
        if not file.access & _DELETE:
            raise NtFailure("STATUS_ACCESS_DENIED", f"{node.path} was not opened for DELETE")
        if node.attributes & const("FILE_ATTRIBUTE_READONLY") or node.parent is None:
            raise NtFailure("STATUS_CANNOT_DELETE", f"{node.path} cannot be deleted")
        if node.mapping is not None:
            raise NtFailure("STATUS_CANNOT_DELETE", f"{node.path} is in a section")
        if node.children:
            raise NtFailure("STATUS_DIRECTORY_NOT_EMPTY", f"{node.path} is not empty")
    node.delete_pending = delete


def rename(k: Kernel, file: OpenFile, root: int, name: str, *, replace: bool) -> None:
    """FileRenameInformation: a new name, in the same folder where it is a mere name."""
    if not file.access & _DELETE:
        raise NtFailure("STATUS_ACCESS_DENIED", f"{file.node.path} was not opened for DELETE")
    volume, node = k.files, file.node
    if node.parent is None:
        raise NtFailure("STATUS_INVALID_PARAMETER", "the root cannot be renamed")
    if root or name.startswith("\\"):
        start, rest = locate(k, Attributes(root, name))
    else:
        start, rest = node.parent, name
    parts = volume.split(rest)
    if not parts:
        raise NtFailure("STATUS_OBJECT_NAME_INVALID", "no new name")
    folder, existing = volume.walk(parts, start)
    at: Node | None = folder
    while at is not None:
        if at is node:
            raise NtFailure("STATUS_SHARING_VIOLATION", "a folder cannot be moved into itself")
        at = at.parent
    if existing is not None and existing is not node:
        if not replace:
            raise NtFailure("STATUS_OBJECT_NAME_COLLISION", f"{existing.path} exists already")
        if existing.is_folder or existing.opens or existing.mapping is not None:
            raise NtFailure("STATUS_ACCESS_DENIED", f"{existing.path} cannot be replaced")
        volume.remove(existing)
    volume.move(node, folder, parts[-1])
