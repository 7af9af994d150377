"""The folder of the host that the client gave: read when the machine boots, written back later.

Only plain files and folders directly in it are ever touched: symbolic links are neither followed
nor replaced, and names that could mean something else to the host are left out.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from .driver import NtFailure

if TYPE_CHECKING:
    from .fs import Node, Volume


class FolderError(Exception):
    """The folder cannot be used; the message says why."""


class HostFolder:
    """A folder on the host whose content the volume has."""

    def __init__(self, folder: str) -> None:
        self._root = Path(os.path.realpath(folder))
        if not self._root.is_dir():
            raise FolderError(f"{folder} is no folder")

    def load(self, volume: Volume) -> None:
        """Put everything that is in the folder into the volume."""
        self._load(volume, self._root, volume.root)

    def _load(self, volume: Volume, folder: Path, into: Node) -> None:
        from .fs import CAPACITY, check_name

        for entry in sorted(os.scandir(folder), key=lambda e: e.name):
            try:
                check_name(entry.name)
            except NtFailure:  # a name that the volume cannot have
                continue
            if entry.is_symlink():
                continue
            if entry.is_dir():
                node = self._child(volume, into, entry.name, is_folder=True)
                if node is not None:
                    self._load(volume, Path(entry.path), node)
            elif entry.is_file():
                if volume.used + entry.stat().st_size > CAPACITY:
                    raise FolderError("the folder holds more than the volume has room for")
                node = self._child(volume, into, entry.name, is_folder=False)
                if node is not None:
                    node.data = bytearray(Path(entry.path).read_bytes())

    def _child(self, volume: Volume, into: Node, name: str, *, is_folder: bool) -> Node | None:
        """The node for an entry; None where one of that name in other case came first."""
        from .names import upcased

        children = into.children
        assert children is not None
        existing = children.get(upcased(name))
        if existing is not None:
            return existing if is_folder and existing.is_folder else None
        host, volume.host = volume.host, None  # it is there already
        try:
            return volume.make(into, name, is_folder=is_folder)
        finally:
            volume.host = host

    def _place(self, path: str) -> Path | None:
        """Where a path of the volume is on the host; None where a symbolic link is on the way."""
        at = self._root
        for part in path.strip("\\").split("\\"):
            if at.is_symlink() or "/" in part or part in ("", ".", ".."):
                return None
            at /= part
        inside = Path(os.path.realpath(at.parent)).is_relative_to(self._root)
        return at if inside and not at.is_symlink() else None

    def write(self, node: Node) -> None:
        """Write a file, or make a folder, with the folders above it."""
        at = self._place(node.path)
        if at is None:
            return
        folder = at if node.is_folder else at.parent
        folder.mkdir(parents=True, exist_ok=True)
        if not node.is_folder:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
            descriptor = os.open(at, flags | getattr(os, "O_BINARY", 0), 0o644)
            with os.fdopen(descriptor, "wb") as file:
                file.write(node.data)

    def remove(self, node: Node) -> None:
        """Remove a file or an empty folder."""
        at = self._place(node.path)
        if at is not None and at.exists():
            if node.is_folder:
                at.rmdir()
            else:
                at.unlink()

    def move(self, source: str, node: Node) -> None:
        """Rename what was at ``source``."""
        old, new = self._place(source), self._place(node.path)
        if old is not None and new is not None and old.exists():
            new.parent.mkdir(parents=True, exist_ok=True)
            old.replace(new)
