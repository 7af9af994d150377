"""Files in sections: the pages that all sections and views of a file share.

While a file is in a section its bytes are in those pages, as views write them; :func:`pull` brings
them to the file before anybody reads or keeps that, and :func:`push` brings what was written to the
file to the pages. Behind the end of the file the last page is zero, and what views write there goes
nowhere. WDK pages: "File-Backed and Page-File-Backed Sections", "ZwCreateSection function (wdm.h)".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..machine.memory import PAGE, OutOfMemory
from .driver import NtFailure
from .structs import const

if TYPE_CHECKING:
    from .fs import Node, OpenFile
    from .kernel import Kernel


@dataclass(slots=True)
class Mapping:
    """A mapped file's physical pages, from its beginning on, and how many sections have it."""

    frames: list[int]
    sections: int = 0


def checked(file: OpenFile, protect: int, size: int) -> int:
    """The size of a section of ``file``, which is the file's where 0 is asked for. NtFailure."""
    node = file.node
    if node.is_folder:
        raise NtFailure("STATUS_INVALID_FILE_FOR_SECTION", f"{node.path} is a folder")
    needed = const("FILE_READ_DATA")
    writable = protect in (const("PAGE_READWRITE"), const("PAGE_EXECUTE_READWRITE"))
    if writable:
        needed |= const("FILE_WRITE_DATA")
    if protect not in (const("PAGE_READONLY"), const("PAGE_READWRITE")):
        needed |= const("FILE_EXECUTE")
    if file.access & needed != needed:
        raise NtFailure("STATUS_ACCESS_DENIED", f"{node.path} was not opened for that")
    if not size and not node.data:
        raise NtFailure("STATUS_MAPPED_FILE_SIZE_ZERO", f"{node.path} is empty")
    if size > len(node.data) and not writable:
        raise NtFailure("STATUS_SECTION_TOO_BIG", f"{node.path} is smaller than that")
    return size or len(node.data)


def attach(k: Kernel, node: Node, size: int) -> list[int]:
    """The pages for a section of a file's first ``size`` bytes; the file grows to that length.

    Raises NtFailure where the volume or the memory is full.
    """
    if size > len(node.data):
        k.files.resize(node, size)
    mapping = node.mapping or Mapping([])
    old, pages = len(mapping.frames), -(-size // PAGE)
    frames: list[int] = []
    try:
        if (max(0, pages - old) + 64) * PAGE > k.memory.available:
            raise OutOfMemory
        frames += (k.memory.allocate() for _ in range(pages - old))
    except OutOfMemory:
        raise NtFailure("STATUS_COMMITMENT_LIMIT", f"a section of {size} bytes") from None
    mapping.frames += frames
    mapping.sections += 1
    node.mapping = mapping
    push(k, node, old * PAGE)
    return mapping.frames[:pages]


def detach(k: Kernel, node: Node) -> None:
    """A section of the file is gone; with the last one its pages go, and the file is kept."""
    pull(k, node)
    mapping = node.mapping
    assert mapping is not None
    mapping.sections -= 1
    if not mapping.sections:
        node.mapping = None
        for frame in mapping.frames:
            k.memory.release(frame)
    k.files.write_back(node)


def pull(k: Kernel, node: Node) -> None:
    """Bring what views have written to the file."""
    if node.mapping is None:
        return
    ram = k.memory.ram
    content = b"".join(bytes(ram[frame : frame + PAGE]) for frame in node.mapping.frames)
    content = content[: len(node.data)]
    if node.data[: len(content)] != content:
        node.data[: len(content)] = content
        k.files.touch(node)


def push(k: Kernel, node: Node, start: int, end: int | None = None) -> None:
    """Bring a part of the file to the pages that views show."""
    if node.mapping is None:
        return
    end = len(node.data) if end is None else end
    for index in range(start // PAGE, min(-(-end // PAGE), len(node.mapping.frames))):
        first, last = max(start, index * PAGE), min(end, (index + 1) * PAGE)
        at = node.mapping.frames[index] + first % PAGE
        k.memory.write_physical(at, bytes(node.data[first:last]))
