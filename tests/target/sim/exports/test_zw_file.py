"""Files of the volume, by calls of single routines."""

from __future__ import annotations

import struct

import pytest

from kernellab import ntdata

from .conftest import Guest

SYNC, DIRECTORY, NON_DIRECTORY, DELETE_ON_CLOSE = 0x20, 0x1, 0x40, 0x1000
SUPERSEDE, OPEN, CREATE, OPEN_IF, OVERWRITE, OVERWRITE_IF = range(6)
GENERIC_READ, GENERIC_WRITE, SYNCHRONIZE, DELETE = 0x80000000, 0x40000000, 0x100000, 0x10000
RW = GENERIC_READ | GENERIC_WRITE | SYNCHRONIZE | DELETE
SHARE_ALL = 7


def status(name: str) -> int:
    return ntdata.status_code(name)


class Files:
    """Short ways to call the routines."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.block = guest.room(16)

    @property
    def information(self) -> int:
        return self.guest.u64(self.block + 8)

    def create(
        self,
        path: str,
        disposition: int = OPEN_IF,
        options: int = SYNC,
        *,
        access: int = RW,
        share: int = SHARE_ALL,
        root: int = 0,
        attributes: int = 0,
    ) -> tuple[int, int]:
        out = self.guest.room(8)
        arguments = (out, access, self.guest.attributes(path, root=root), self.block, 0)
        more = (attributes, share, disposition, options, 0, 0)
        result = self.guest.call("ZwCreateFile", *arguments, *more)
        return result, self.guest.u64(out)

    def open(self, path: str, **options: int) -> int:
        result, handle = self.create(path, **options)
        assert result == 0
        return handle

    def close(self, handle: int) -> None:
        assert self.guest.call("ZwClose", handle) == 0

    def write(self, handle: int, data: bytes, offset: int | None = None) -> int:
        at = self.guest.put(struct.pack("<q", offset)) if offset is not None else 0
        buffer = self.guest.put(data)
        arguments = (handle, 0, 0, 0, self.block, buffer, len(data), at, 0)
        return self.guest.call("ZwWriteFile", *arguments)

    def read(self, handle: int, length: int, offset: int | None = None) -> tuple[int, bytes]:
        at = self.guest.put(struct.pack("<q", offset)) if offset is not None else 0
        buffer = self.guest.room(length)
        arguments = (handle, 0, 0, 0, self.block, buffer, length, at, 0)
        result = self.guest.call("ZwReadFile", *arguments)
        return result, self.guest.read(buffer, self.information) if self.information else b""

    def query(self, handle: int, kind: str, length: int = 256) -> tuple[int, bytes]:
        buffer = self.guest.room(max(length, 1))
        number = ntdata.constant(kind)
        arguments = (handle, self.block, buffer, length, number)
        result = self.guest.call("ZwQueryInformationFile", *arguments)
        return result, self.guest.read(buffer, length)

    def set(self, handle: int, kind: str, raw: bytes) -> int:
        number = ntdata.constant(kind)
        arguments = (handle, self.block, self.guest.put(raw), len(raw), number)
        return self.guest.call("ZwSetInformationFile", *arguments)


@pytest.fixture
def files(guest: Guest) -> Files:
    return Files(guest)


def test_create_dispositions(files: Files) -> None:
    """WDK: "ZwCreateFile function (wdm.h)": CreateDisposition, IoStatusBlock->Information."""
    path = r"\??\C:\a.txt"
    for disposition, answer, information in (
        (OPEN, "STATUS_OBJECT_NAME_NOT_FOUND", None),
        (OVERWRITE, "STATUS_OBJECT_NAME_NOT_FOUND", None),
        (CREATE, "STATUS_SUCCESS", 2),
        (CREATE, "STATUS_OBJECT_NAME_COLLISION", None),
        (OPEN, "STATUS_SUCCESS", 1),
        (OPEN_IF, "STATUS_SUCCESS", 1),
        (OVERWRITE_IF, "STATUS_SUCCESS", 3),
        (SUPERSEDE, "STATUS_SUCCESS", 0),
        (9, "STATUS_INVALID_PARAMETER", None),
    ):
        result, handle = files.create(path, disposition)
        assert result == status(answer), disposition
        if information is not None:
            assert files.information == information
            files.close(handle)


def test_options_that_do_not_go_together(files: Files) -> None:
    """WDK: "ZwCreateFile function (wdm.h)": CreateOptions."""
    invalid = status("STATUS_INVALID_PARAMETER")
    path = r"\??\C:\o"
    assert files.create(path, OPEN_IF, DIRECTORY | NON_DIRECTORY)[0] == invalid
    assert files.create(path, OVERWRITE, DIRECTORY)[0] == invalid
    assert files.create(path, access=GENERIC_READ & ~SYNCHRONIZE)[0] == invalid
    assert files.create(path, OPEN_IF, DELETE_ON_CLOSE, access=GENERIC_READ)[0] == invalid
    files.close(files.open(path, disposition=CREATE, options=DIRECTORY))
    assert files.create(path, OPEN, NON_DIRECTORY)[0] == status("STATUS_FILE_IS_A_DIRECTORY")
    files.close(files.open(path + r"\f"))
    assert files.create(path + r"\f", OPEN, DIRECTORY)[0] == status("STATUS_NOT_A_DIRECTORY")


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        (r"\??\C:\..\secret", "STATUS_OBJECT_NAME_INVALID"),
        (r"\??\C:\Windows\..\..\x", "STATUS_OBJECT_NAME_INVALID"),
        (r"\??\C:\.", "STATUS_OBJECT_NAME_INVALID"),
        (r"\??\C:\a/b", "STATUS_OBJECT_NAME_INVALID"),
        (r"\??\C:\a:stream", "STATUS_OBJECT_NAME_INVALID"),
        (r"\??\C:\a*", "STATUS_OBJECT_NAME_INVALID"),
        ("\\??\\C:\\a\0b", "STATUS_OBJECT_NAME_INVALID"),
        (r"\??\C:\a\\b", "STATUS_OBJECT_NAME_INVALID"),
        (r"\??\D:\x", "STATUS_OBJECT_PATH_NOT_FOUND"),
        (r"\??\C:\none\x", "STATUS_OBJECT_PATH_NOT_FOUND"),
        (r"C:\x", "STATUS_OBJECT_PATH_SYNTAX_BAD"),
        (r"/etc/passwd", "STATUS_OBJECT_PATH_SYNTAX_BAD"),
        (r"\??\UNC\server\x", "STATUS_OBJECT_PATH_NOT_FOUND"),
    ],
)
def test_no_path_leads_out_of_the_volume(files: Files, path: str, answer: str) -> None:
    assert files.create(path)[0] == status(answer)


def test_reading_and_writing(files: Files) -> None:
    """WDK: "ZwReadFile function (wdm.h)", "ZwWriteFile function (wdm.h)": offsets, position."""
    handle = files.open(r"\??\C:\data")
    assert files.write(handle, b"hello ") == 0
    assert files.write(handle, b"world") == 0
    assert files.information == 5
    assert files.read(handle, 5) == (status("STATUS_END_OF_FILE"), b"")
    assert files.read(handle, 5, 6) == (0, b"world")
    assert files.read(handle, 99, 0) == (0, b"hello world")
    assert files.write(handle, b"!", -1) == 0  # FILE_WRITE_TO_END_OF_FILE
    assert files.write(handle, b"?", -2) == 0  # FILE_USE_FILE_POINTER_POSITION
    assert files.write(handle, b"x", 20) == 0
    assert files.read(handle, 99, 10) == (0, b"d!?" + bytes(7) + b"x")
    assert files.read(handle, 1, -5)[0] == status("STATUS_INVALID_PARAMETER")
    files.close(handle)
    handle = files.open(r"\DosDevices\c:\DATA", access=GENERIC_READ | SYNCHRONIZE)
    assert files.write(handle, b"no") == status("STATUS_ACCESS_DENIED")
    files.close(handle)
    handle = files.open(r"\SystemRoot\..".removesuffix(r"\..") + r"\x", options=0)
    assert files.read(handle, 1)[0] == status("STATUS_INVALID_PARAMETER")


def test_a_read_signals_its_event(files: Files, guest: Guest) -> None:
    """WDK: "ZwReadFile function (wdm.h)": Event."""
    handle, out, zero = files.open(r"\??\C:\e"), guest.room(8), guest.put(bytes(8))
    guest.call("ZwCreateEvent", out, 0x1F0003, 0, 0, 0)
    event = guest.u64(out)
    arguments = (handle, event, 0, 0, files.block, guest.put(b"x"), 1, 0, 0)
    assert guest.call("ZwWriteFile", *arguments) == 0
    assert guest.call("ZwWaitForSingleObject", event, 0, zero) == 0
    assert guest.call("ZwWaitForSingleObject", handle, 0, zero) == 0


def test_sharing(files: Files) -> None:
    """WDK: "IoCheckShareAccess function (wdm.h)"."""
    path = r"\??\C:\shared"
    first = files.open(path, access=GENERIC_READ | SYNCHRONIZE, share=1)
    violation = status("STATUS_SHARING_VIOLATION")
    assert files.create(path, access=GENERIC_WRITE | SYNCHRONIZE)[0] == violation
    assert files.create(path, access=GENERIC_READ | SYNCHRONIZE, share=0)[0] == violation
    second = files.open(path, access=GENERIC_READ | SYNCHRONIZE, share=1)
    for handle in (first, second):
        files.close(handle)
    files.close(files.open(path, access=GENERIC_WRITE | SYNCHRONIZE, share=0))


def test_what_a_file_tells(files: Files, guest: Guest) -> None:
    """WDK: "ZwQueryInformationFile function (ntifs.h)"."""
    handle = files.open(r"\??\C:\Told.txt")
    files.write(handle, b"12345")
    _, raw = files.query(handle, "FileStandardInformation", 24)
    assert struct.unpack("<QQIBB2x", raw) == (4096, 5, 1, 0, 0)
    mismatch = status("STATUS_INFO_LENGTH_MISMATCH")
    assert files.query(handle, "FileStandardInformation", 23)[0] == mismatch
    _, raw = files.query(handle, "FileBasicInformation", 40)
    assert struct.unpack_from("<I", raw, 32)[0] == 0x20
    assert guest.k.boot_time < struct.unpack_from("<Q", raw)[0]
    _, raw = files.query(handle, "FilePositionInformation", 8)
    assert raw == struct.pack("<Q", 5)
    name = r"\Told.txt".encode("utf-16-le")
    assert files.query(handle, "FileNameInformation", 22) == (0, struct.pack("<I", 18) + name)
    assert files.query(handle, "FileNameInformation", 10) == (
        status("STATUS_BUFFER_OVERFLOW"),
        struct.pack("<I", 18) + name[:6],
    )
    _, raw = files.query(handle, "FileAllInformation")
    assert struct.unpack_from("<Q", raw, 48)[0] == 5
    assert struct.unpack_from("<Q", raw, 80)[0] == 5
    assert files.query(handle, "FileQuotaInformation")[0] == status("STATUS_INVALID_INFO_CLASS")
    out = guest.room(8)
    guest.call("ObReferenceObjectByHandle", handle, 0, 0, 0, out, 0)
    buffer, length = guest.room(256), guest.room(4)
    guest.call("ObQueryNameString", guest.u64(out), buffer, 256, length)
    shown = guest.content(buffer).decode("utf-16-le")
    assert shown == r"\Device\HarddiskVolume1\Told.txt"


def test_attributes_by_name(files: Files, guest: Guest) -> None:
    """WDK: "ZwQueryFullAttributesFile function (wdm.h)"."""
    buffer = guest.room(56)
    attributes = guest.attributes(r"\??\C:\Windows\System32")
    assert guest.call("ZwQueryFullAttributesFile", attributes, buffer) == 0
    assert guest.u32(buffer + 48) == 0x10
    attributes = guest.attributes(r"\??\C:\Windows\None")
    missing = status("STATUS_OBJECT_NAME_NOT_FOUND")
    assert guest.call("ZwQueryFullAttributesFile", attributes, buffer) == missing


def test_changing_a_file(files: Files) -> None:
    """WDK: "ZwSetInformationFile function (ntifs.h)": end of file, position, attributes."""
    handle = files.open(r"\??\C:\c")
    files.write(handle, b"12345678")
    assert files.set(handle, "FileEndOfFileInformation", struct.pack("<q", 3)) == 0
    assert files.set(handle, "FilePositionInformation", struct.pack("<q", 1)) == 0
    assert files.read(handle, 9) == (0, b"23")
    assert files.set(handle, "FileBasicInformation", bytes(32) + struct.pack("<II", 1, 0)) == 0
    files.close(handle)
    assert files.create(r"\??\C:\c")[0] == status("STATUS_ACCESS_DENIED")
    handle = files.open(r"\??\C:\c", access=GENERIC_READ | DELETE | SYNCHRONIZE)
    assert files.set(handle, "FileDispositionInformation", b"\1") == status("STATUS_CANNOT_DELETE")


def renamed(name: str, *, replace: bool = False) -> bytes:
    text = name.encode("utf-16-le")
    return struct.pack("<B7xQI", replace, 0, len(text)) + text


def test_renaming(files: Files) -> None:
    """WDK: "FILE_RENAME_INFORMATION structure (ntifs.h)"."""
    files.close(files.open(r"\??\C:\taken"))
    handle = files.open(r"\??\C:\old")
    files.write(handle, b"kept")
    collision = status("STATUS_OBJECT_NAME_COLLISION")
    assert files.set(handle, "FileRenameInformation", renamed("taken")) == collision
    assert files.set(handle, "FileRenameInformation", renamed("taken", replace=True)) == 0
    assert files.set(handle, "FileRenameInformation", renamed(r"\??\C:\Windows\new")) == 0
    for bad in (r"\??\C:\..\out", r"..\out", ""):
        assert files.set(handle, "FileRenameInformation", renamed(bad)) >> 30 == 3
    files.close(handle)
    assert files.create(r"\??\C:\old", OPEN)[0] == status("STATUS_OBJECT_NAME_NOT_FOUND")
    assert files.read(files.open(r"\??\C:\Windows\NEW"), 9) == (0, b"kept")


def test_deleting(files: Files, guest: Guest) -> None:
    """WDK: "FILE_DISPOSITION_INFORMATION structure (ntddk.h)", "ZwDeleteFile function"."""
    path = r"\??\C:\gone"
    missing = status("STATUS_OBJECT_NAME_NOT_FOUND")
    first, second = files.open(path), files.open(path)
    assert files.set(first, "FileDispositionInformation", b"\1") == 0
    files.close(first)
    assert files.create(path, OPEN)[0] == status("STATUS_DELETE_PENDING")
    files.close(second)
    assert files.create(path, OPEN)[0] == missing
    files.close(files.open(path, options=SYNC | DELETE_ON_CLOSE))
    assert files.create(path, OPEN)[0] == missing
    files.close(files.open(path))
    assert guest.call("ZwDeleteFile", guest.attributes(path)) == 0
    assert guest.call("ZwDeleteFile", guest.attributes(path)) == missing
    folder = guest.attributes(r"\??\C:\Windows")
    assert guest.call("ZwDeleteFile", folder) == status("STATUS_DIRECTORY_NOT_EMPTY")


def test_listing_a_folder(files: Files, guest: Guest) -> None:
    """WDK: "ZwQueryDirectoryFile function (ntifs.h)"."""
    files.close(files.open(r"\??\C:\L", disposition=CREATE, options=DIRECTORY))
    root = files.open(r"\??\C:\L", disposition=OPEN, options=DIRECTORY | SYNC)
    for name in ("b.txt", "A.txt", "c.bin"):
        handle = files.open(name, root=root)
        files.write(handle, b"x" * 3)
        files.close(handle)

    def listed(
        pattern: str = "", *, size: int = 600, single: int = 0, restart: int = 0, kind: int = 3
    ) -> tuple[int, list[str]]:
        buffer = guest.put(bytes(size))
        name = guest.unicode(pattern) if pattern else 0
        arguments = (root, 0, 0, 0, files.block, buffer, size, kind, single, name, restart)
        result = guest.call("ZwQueryDirectoryFile", *arguments)
        names, at = [], buffer
        offset = {1: 64, 3: 94, 12: 12}[kind]
        length = {1: 60, 3: 60, 12: 8}[kind]
        while result == 0:
            raw = guest.read(at + offset, guest.u32(at + length))
            names.append(raw.decode("utf-16-le"))
            if not guest.u32(at):
                break
            at += guest.u32(at)
        return result, names

    assert listed(single=1) == (0, ["."])
    assert listed() == (0, ["..", "A.txt", "b.txt", "c.bin"])
    assert listed()[0] == status("STATUS_NO_MORE_FILES")
    assert listed("*.TXT", restart=1, kind=12) == (0, ["A.txt", "b.txt"])
    assert listed("*.none", restart=1)[0] == status("STATUS_NO_SUCH_FILE")
    assert listed("?.bin", restart=1, kind=1) == (0, ["c.bin"])
    assert listed("*", restart=1, size=20)[0] == status("STATUS_BUFFER_OVERFLOW")


def test_opening_and_flushing(files: Files, guest: Guest) -> None:
    """WDK: "ZwOpenFile function (wdm.h)", "IoCreateFile function (wdm.h)"."""
    out, path = guest.room(8), guest.attributes(r"\??\C:\io")
    arguments = (out, RW, path, files.block, 0, 0, 7, CREATE, SYNC, 0, 0, 0, 0, 0)
    assert guest.call("IoCreateFile", *arguments) == 0
    files.close(guest.u64(out))
    assert guest.call("ZwOpenFile", out, RW, path, files.block, 7, SYNC) == 0
    assert guest.call("ZwFlushBuffersFile", guest.u64(out), files.block) == 0
    mailslot = (*arguments[:11], 2, 0, 0)
    assert guest.call("IoCreateFile", *mailslot) == status("STATUS_INVALID_PARAMETER")
