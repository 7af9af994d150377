r"""The object namespace: one tree of directories in which objects of every type have names.

Names compare without case: that is the system's default, whether a caller asks for
OBJ_CASE_INSENSITIVE or not. ``\??`` and ``\GLOBAL??`` are one directory, since there is one
session, and ``\DosDevices`` is a symbolic link to it. WDK pages: "Object Names", "Object
Directories", "MS-DOS Device Names", "InitializeObjectAttributes macro".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from . import nls
from .ob import Object
from .structs import const

if TYPE_CHECKING:
    from .kernel import Kernel

#: The directories that Windows makes at boot, as far as drivers meet them.
_DIRECTORIES: Final = (
    *(r"\GLOBAL??", r"\ArcName", r"\BaseNamedObjects", r"\Callback", r"\Device", r"\Driver"),
    *(r"\FileSystem", r"\KernelObjects", r"\KnownDlls", r"\NLS", r"\ObjectTypes"),
    *(r"\RPC Control", r"\Security", r"\Sessions", r"\Windows"),
)
_LINKS_DEEP: Final = 32
_DIRECTORY_SIZE: Final = 0x158
_LINK_SIZE: Final = 0x28


@dataclass(slots=True)
class Directory:
    """What a directory object keeps: its objects by their upcased names, in order of creation."""

    entries: dict[str, Object] = field(default_factory=dict)


@dataclass(slots=True)
class Link:
    """A symbolic link and the path it stands for."""

    name: str
    target: str
    owner: str


@dataclass(frozen=True, slots=True)
class Found:
    """Where a path leads: an object and what of the path lies behind it, or why not.

    Where only the last name is missing, ``directory`` and ``leaf`` say where it would be.
    """

    status: int = 0
    object: Object | None = None
    rest: str = ""
    directory: Object | None = None
    leaf: str = ""


class ObjectNames:
    """The tree of names, from its root directory on."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        self.root = k.ob.insert(Object(k.new_object(_DIRECTORY_SIZE), "Directory", Directory()))
        for path in _DIRECTORIES:
            self.add(self.new_directory(), path, permanent=True)
        dos = self.walk(r"\GLOBAL??").object
        assert dos is not None
        entries(self.root)["??"] = dos
        self.add(self.new_link(Link(r"\DosDevices", r"\??", "")), r"\DosDevices", permanent=True)

    def new_directory(self, owner: str = "") -> Object:
        """An empty directory without a name."""
        k = self._k
        return k.ob.insert(
            Object(
                *(k.new_object(_DIRECTORY_SIZE), "Directory", Directory(), "", owner),
                on_delete=k.ob.free,
            )
        )

    def new_link(self, link: Link) -> Object:
        """A symbolic link object without a name."""
        k = self._k
        return k.ob.insert(
            Object(
                *(k.new_object(_LINK_SIZE), "SymbolicLink", link, "", link.owner),
                on_delete=k.ob.free,
            )
        )

    # -- looking up -----------------------------------------------------------------------------

    def walk(self, path: str, root: Object | None = None, *, follow: bool = True) -> Found:
        """Follow ``path`` from the root, or from the directory ``root`` where it is relative.

        A symbolic link at its very end is followed only where ``follow``.
        """
        bad = Found(const("STATUS_OBJECT_PATH_SYNTAX_BAD"))
        if (root is None) != path.startswith("\\"):
            if root is None or path:
                return bad
            return Found(0, root)
        start = root
        for _ in range(_LINKS_DEEP):
            found = self._walk(path, start, follow=follow)
            if isinstance(found, Found):
                return found
            path, start = found, None
            if not path.startswith("\\"):
                return bad
        return Found(const("STATUS_NAME_TOO_LONG"))

    def _walk(self, path: str, root: Object | None, *, follow: bool) -> Found | str:
        """One pass; the path to go on with where it met a symbolic link."""
        here = root or self.root
        rest = path if root is None else "\\" + path
        if rest == "\\":
            return Found(0, here)
        while rest:
            name, slash, behind = rest[1:].partition("\\")
            if not name:
                return Found(const("STATUS_OBJECT_NAME_INVALID"))
            after = slash + behind
            entry = entries(here).get(upcased(name))
            if entry is None:
                if after:
                    return Found(const("STATUS_OBJECT_PATH_NOT_FOUND"))
                status = const("STATUS_OBJECT_NAME_NOT_FOUND")
                return Found(status, None, "", here, name)
            if isinstance(entry.payload, Link) and (after or follow):
                return entry.payload.target + after
            if not isinstance(entry.payload, Directory):
                return Found(0, entry, after)
            here, rest = entry, after
        return Found(0, here)

    def find(self, path: str) -> Object | None:
        """The object at ``path``, None where there is none."""
        found = self.walk(path)
        return found.object if found.object is not None and not found.rest else None

    def path_of(self, obj: Object) -> str:
        """An object's full path; empty where it has no name."""
        if obj is self.root:
            return "\\"
        parts: list[str] = []
        at: Object | None = obj
        while at is not None and at is not self.root:
            if at.parent is None:
                return ""
            parts.append(at.name)
            at = at.parent
        return "\\" + "\\".join(reversed(parts))

    # -- changing -------------------------------------------------------------------------------

    def add(self, obj: Object, path: str, *, permanent: bool = False) -> int:
        """Give an object its name; the NTSTATUS says why it cannot have it.

        A permanent one keeps a reference of its own from now on where it had handles only.
        """
        found = self.walk(path, follow=False)
        if found.status == 0:
            return const(
                "STATUS_OBJECT_TYPE_MISMATCH" if found.rest else "STATUS_OBJECT_NAME_COLLISION"
            )
        if found.directory is None:
            return found.status
        self.place(obj, found.directory, found.leaf, permanent=permanent)
        return 0

    def place(self, obj: Object, directory: Object, leaf: str, *, permanent: bool = False) -> None:
        """Enter an object into a directory, in which ``leaf`` is free."""
        obj.name, obj.parent, obj.permanent = leaf, directory, permanent
        entries(directory)[upcased(leaf)] = obj

    def remove(self, obj: Object) -> None:
        """Take an object's name away, if it has one."""
        if obj.parent is not None:
            entries(obj.parent).pop(upcased(obj.name), None)
            obj.parent = None


def entries(directory: Object) -> dict[str, Object]:
    """The objects in a directory by their upcased names."""
    payload = directory.payload
    assert isinstance(payload, Directory)
    return payload.entries


def upcased(name: str) -> str:
    """A name as a key: upcased code unit by code unit, as NT compares, so that lengths stay."""
    raw = nls.upcase(name.encode("utf-16-le", "surrogatepass"))
    return raw.decode("utf-16-le", "surrogatepass")
