"""What is told of files and folders, in the structures of each information class.

WDK pages: "ZwQueryInformationFile function (ntifs.h)", "ZwSetInformationFile function (ntifs.h)",
"ZwQueryDirectoryFile function (ntifs.h)".
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final

from . import fs_service
from .driver import NtFailure
from .fs import CLUSTER, Node, OpenFile
from .names import upcased
from .structs import Struct, const, place, size_of

if TYPE_CHECKING:
    from .kernel import Kernel

_NEGATIVE: Final = 1 << 63
#: Of FILE_RENAME_INFORMATION: where the name begins.
_RENAME_NAME: Final = 20


def _allocated(node: Node) -> int:
    return -(-len(node.data) // CLUSTER) * CLUSTER


def _times(node: Node) -> bytes:
    return struct.pack("<4Q", node.created, node.accessed, node.written, node.changed)


def _basic(node: Node) -> bytes:
    return _times(node) + struct.pack("<I4x", node.shown_attributes())


def _standard(node: Node) -> bytes:
    return struct.pack(
        "<QQIBB2x",
        *(_allocated(node), len(node.data), 0 if node.delete_pending else 1),
        *(node.delete_pending, node.is_folder),
    )


def network_open(node: Node) -> bytes:
    """FILE_NETWORK_OPEN_INFORMATION."""
    sizes = struct.pack("<QQ", _allocated(node), len(node.data))
    return _times(node) + sizes + struct.pack("<I4x", node.shown_attributes())


def _name(node: Node) -> bytes:
    text = node.path.encode("utf-16-le", "surrogatepass")
    return struct.pack("<I", len(text)) + text


def query(k: Kernel, file: OpenFile, kind: int, buffer: int, length: int) -> tuple[int, int]:
    """Tell one FILE_INFORMATION_CLASS of an open file: NTSTATUS, and bytes that were written."""
    node = file.node
    offset = Struct(k.memory, "FILE_OBJECT", file.address)["CurrentByteOffset"]
    raw, fixed = _information(file, node, offset, kind)
    if length < fixed:
        raise NtFailure("STATUS_INFO_LENGTH_MISMATCH", "the buffer is too small")
    k.memory.write(buffer, raw[:length])
    status = 0 if length >= len(raw) else const("STATUS_BUFFER_OVERFLOW")
    return status, min(length, len(raw))


def _information(file: OpenFile, node: Node, offset: int, kind: int) -> tuple[bytes, int]:
    if kind == const("FileBasicInformation"):
        raw = _basic(node)
    elif kind == const("FileStandardInformation"):
        raw = _standard(node)
    elif kind == const("FileInternalInformation"):
        raw = struct.pack("<Q", node.number)
    elif kind in (const("FileEaInformation"), const("FileAlignmentInformation")):
        raw = bytes(4)
    elif kind == const("FileAccessInformation"):
        raw = struct.pack("<I", file.access)
    elif kind == const("FileModeInformation"):
        raw = struct.pack("<I", file.options & 0x103E)
    elif kind == const("FilePositionInformation"):
        raw = struct.pack("<Q", offset)
    elif kind == const("FileNetworkOpenInformation"):
        raw = network_open(node)
    elif kind == const("FileAttributeTagInformation"):
        raw = struct.pack("<II", node.shown_attributes(), 0)
    elif kind == const("FileNameInformation"):
        return _name(node), 8
    elif kind == const("FileAllInformation"):
        raw = _basic(node) + _standard(node) + struct.pack("<QI", node.number, 0)
        raw += struct.pack("<IQII", file.access, offset, file.options & 0x103E, 0)
        return raw + _name(node), size_of("FILE_ALL_INFORMATION")
    else:
        raise NtFailure("STATUS_INVALID_INFO_CLASS", f"no information class {kind} of files")
    return raw, len(raw)


def change(k: Kernel, file: OpenFile, kind: int, buffer: int, length: int) -> None:
    """ZwSetInformationFile. Raises NtFailure for what cannot be set."""
    names = {
        const("FileBasicInformation"): "FILE_BASIC_INFORMATION",
        const("FilePositionInformation"): "FILE_POSITION_INFORMATION",
        const("FileEndOfFileInformation"): "FILE_END_OF_FILE_INFORMATION",
        const("FileAllocationInformation"): "FILE_ALLOCATION_INFORMATION",
        const("FileDispositionInformation"): "FILE_DISPOSITION_INFORMATION",
        const("FileRenameInformation"): "FILE_RENAME_INFORMATION",
    }
    name = names.get(kind)
    if name is None:
        raise NtFailure("STATUS_INVALID_INFO_CLASS", f"information class {kind} cannot be set")
    if length < size_of(name):
        raise NtFailure("STATUS_INFO_LENGTH_MISMATCH", "the buffer is too small")
    given = Struct(k.memory, name, buffer)
    if name == "FILE_BASIC_INFORMATION":
        _set_basic(k, file, given)
    elif name == "FILE_POSITION_INFORMATION":
        if given["CurrentByteOffset"] & _NEGATIVE:
            raise NtFailure("STATUS_INVALID_PARAMETER", "a negative position")
        entry = Struct(k.memory, "FILE_OBJECT", file.address)
        entry["CurrentByteOffset"] = given["CurrentByteOffset"]
    elif name == "FILE_DISPOSITION_INFORMATION":
        fs_service.set_delete(file, delete=bool(given["DeleteFile"]))
    elif name == "FILE_RENAME_INFORMATION":
        _rename(k, file, given, length)
    else:
        _set_size(k, file, given["EndOfFile" if "END" in name else "AllocationSize"], name)


def _set_basic(k: Kernel, file: OpenFile, given: Struct) -> None:
    """Zero leaves a field as it is."""
    node = file.node
    for field, attribute in (
        ("CreationTime", "created"),
        ("LastAccessTime", "accessed"),
        ("LastWriteTime", "written"),
        ("ChangeTime", "changed"),
    ):
        value = given[field]
        if value and not value & _NEGATIVE:
            setattr(node, attribute, value)
    attributes = given["FileAttributes"]
    if attributes:
        if attributes & const("FILE_ATTRIBUTE_DIRECTORY") and not node.is_folder:
            raise NtFailure("STATUS_INVALID_PARAMETER", "a file cannot become a folder")
        kept = const("FILE_ATTRIBUTE_VALID_SET_FLAGS") & ~const("FILE_ATTRIBUTE_NORMAL")
        node.attributes = attributes & kept
        node.changed = k.files.now()


def _set_size(k: Kernel, file: OpenFile, size: int, name: str) -> None:
    if file.node.is_folder or size & _NEGATIVE:
        raise NtFailure("STATUS_INVALID_PARAMETER", "no size that a file can have")
    if not file.access & 2:
        raise NtFailure("STATUS_ACCESS_DENIED", "the file was not opened for writing")
    if "END" in name or size < len(file.node.data):
        k.files.resize(file.node, size)


def _rename(k: Kernel, file: OpenFile, given: Struct, length: int) -> None:
    size = given["FileNameLength"]
    if _RENAME_NAME + size > length or size & 1 or not size:
        raise NtFailure("STATUS_INVALID_PARAMETER", "the new name is not inside the buffer")
    raw = k.memory.read(given.address + _RENAME_NAME, size)
    name = raw.decode("utf-16-le", "surrogatepass")
    fs_service.rename(k, file, given["RootDirectory"], name, replace=bool(given["ReplaceIfExists"]))


# -- listing a folder -----------------------------------------------------------------------------

#: Each class' structure, and whether only names are told.
_LISTINGS: Final = {
    "FileDirectoryInformation": "FILE_DIRECTORY_INFORMATION",
    "FileFullDirectoryInformation": "FILE_FULL_DIR_INFORMATION",
    "FileBothDirectoryInformation": "FILE_BOTH_DIR_INFORMATION",
    "FileIdBothDirectoryInformation": "FILE_ID_BOTH_DIR_INFORMATION",
    "FileNamesInformation": "FILE_NAMES_INFORMATION",
}


def matches(pattern: str, name: str) -> bool:
    """WDK: "FsRtlIsNameInExpression function (ntifs.h)": ``*`` and ``?``, without case."""
    if pattern in ("", "*", "*.*"):
        return True
    parts = [".*" if c == "*" else "." if c == "?" else re.escape(c) for c in upcased(pattern)]
    return re.fullmatch("".join(parts), upcased(name), re.DOTALL) is not None


def _entry(struct_name: str, name: str, node: Node) -> bytes:
    """One entry as bytes, without what links it to the next."""
    start = place(struct_name, "FileName")[0]
    text = name.encode("utf-16-le", "surrogatepass")
    raw = bytearray(start) + text

    def put(field: str, value: int) -> None:
        offset, size = place(struct_name, field)
        raw[offset : offset + size] = value.to_bytes(size, "little")

    put("FileNameLength", len(text))
    if struct_name != "FILE_NAMES_INFORMATION":
        put("CreationTime", node.created)
        put("LastAccessTime", node.accessed)
        put("LastWriteTime", node.written)
        put("ChangeTime", node.changed)
        put("EndOfFile", len(node.data))
        put("AllocationSize", _allocated(node))
        put("FileAttributes", node.shown_attributes())
    if struct_name == "FILE_ID_BOTH_DIR_INFORMATION":
        put("FileId", node.number)
    return bytes(raw)


def list_folder(
    k: Kernel,
    file: OpenFile,
    kind: int,
    buffer: int,
    length: int,
    *,
    single: bool,
    pattern: str | None,
    restart: bool,
) -> int:
    """ZwQueryDirectoryFile: the number of bytes that were written.

    Raises NtFailure: STATUS_NO_SUCH_FILE where nothing ever matched, STATUS_NO_MORE_FILES at the
    end, STATUS_BUFFER_OVERFLOW where not even one entry fits.
    """
    name = next((s for c, s in _LISTINGS.items() if const(c) == kind), None)
    if name is None:
        raise NtFailure("STATUS_INVALID_INFO_CLASS", f"no information class {kind} of folders")
    node = file.node
    if node.children is None:
        raise NtFailure("STATUS_INVALID_PARAMETER", f"{node.path} is no folder")
    first = file.scan is None
    if first or restart:
        file.scan = 0
        file.pattern = (pattern or file.pattern) if not first else (pattern or "")
    entries: list[tuple[str, Node]] = [(".", node), ("..", node.parent or node)]
    if node.parent is None:
        entries = []
    entries += [(node.children[key].name, node.children[key]) for key in sorted(node.children)]
    chosen = [(n, e) for n, e in entries if matches(file.pattern, n)]
    start = file.scan or 0
    if start >= len(chosen):
        none = first or (restart and not chosen)
        raise NtFailure("STATUS_NO_SUCH_FILE" if none else "STATUS_NO_MORE_FILES", "no more files")
    out = bytearray()
    last = 0
    for count, (shown, entry) in enumerate(chosen[start:]):
        raw = _entry(name, shown, entry)
        at = -(-len(out) // 8) * 8
        if at + len(raw) > length:
            break
        out += bytes(at - len(out))
        if count:
            struct.pack_into("<I", out, last, at - last)
        last = at
        out += raw
        file.scan = start + count + 1
        if single:
            break
    if not out:
        raise NtFailure("STATUS_BUFFER_OVERFLOW", "not even one entry fits")
    k.memory.write(buffer, out)
    return len(out)
