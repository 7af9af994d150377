"""OBJECT_ATTRIBUTES: what a caller names and asks for, and how such an object is made or opened.

WDK pages: "OBJECT_ATTRIBUTES structure (ntdef.h)", "InitializeObjectAttributes macro".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .driver import NtFailure
from .ob import Object
from .structs import Struct, const, read_unicode_string, size_of

if TYPE_CHECKING:
    from .kernel import Kernel


@dataclass(frozen=True, slots=True)
class Attributes:
    """A caller's OBJECT_ATTRIBUTES, checked. ``root`` is a handle; ``name`` may be relative."""

    root: int = 0
    name: str | None = None
    flags: int = 0

    def has(self, flag: str) -> bool:
        """Whether an ``OBJ_…`` flag is set."""
        return bool(self.flags & const(flag))


def read_attributes(k: Kernel, address: int) -> Attributes:
    """Read the structure. Raises NtFailure where it is not one; a null pointer means none."""
    if not address:
        return Attributes()
    given = Struct(k.memory, "OBJECT_ATTRIBUTES", address)
    if given["Length"] != size_of("OBJECT_ATTRIBUTES"):
        raise NtFailure("STATUS_INVALID_PARAMETER", "the OBJECT_ATTRIBUTES has a wrong Length")
    flags = given["Attributes"]
    if flags & ~const("OBJ_VALID_ATTRIBUTES"):
        raise NtFailure("STATUS_INVALID_PARAMETER", "OBJECT_ATTRIBUTES with unknown flags")
    name = given["ObjectName"]
    if name and Struct(k.memory, "UNICODE_STRING", name)["Length"] & 1:
        raise NtFailure("STATUS_OBJECT_NAME_INVALID", "an object's name of an odd length")
    text = read_unicode_string(k.memory, name) if name else None
    return Attributes(given["RootDirectory"], text, flags)


def handle_target(k: Kernel, handle: int, type_name: str = "") -> Object:
    """The object behind a handle of the current process. Raises NtFailure where it is none."""
    entry = k.ob.find(handle, k.thread.current_process.pid)
    if entry is None:
        raise NtFailure("STATUS_INVALID_HANDLE", f"{handle:#x} is no open handle")
    if type_name and entry.object.type != type_name:
        raise NtFailure(
            "STATUS_OBJECT_TYPE_MISMATCH", f"{handle:#x} is a {entry.object.type.lower()}"
        )
    return entry.object


def open_handle(k: Kernel, obj: Object, access: int, attributes: Attributes, owner: str) -> int:
    """A handle to an object, in the table that the attributes ask for."""
    if obj.handles and (obj.exclusive or attributes.has("OBJ_EXCLUSIVE")):
        raise NtFailure("STATUS_ACCESS_DENIED", "the object is exclusive and already open")
    return k.ob.open(
        *(obj, k.thread.current_process.pid, access, owner),
        kernel=attributes.has("OBJ_KERNEL_HANDLE"),
        attributes=attributes.flags,
    )


def open_named(k: Kernel, attributes: Attributes, type_name: str, *, follow: bool = True) -> Object:
    """The existing object that the attributes name. Raises NtFailure where there is none."""
    if attributes.name is None:
        status = "STATUS_OBJECT_PATH_SYNTAX_BAD" if not attributes.root else "STATUS_SUCCESS"
        if not attributes.root:
            raise NtFailure(status, "an object without a name cannot be opened")
    root = handle_target(k, attributes.root, "Directory") if attributes.root else None
    found = k.names.walk(attributes.name or "", root, follow=follow)
    if found.object is None:
        raise NtFailure(found.status, f"there is no object {attributes.name}")
    if found.object.type != type_name or found.rest:
        raise NtFailure("STATUS_OBJECT_TYPE_MISMATCH", f"{attributes.name} is of another type")
    return found.object


def create_named(
    k: Kernel,
    attributes: Attributes,
    type_name: str,
    make: Callable[[], Object],
) -> tuple[Object, bool]:
    """A new object under the name that the attributes give, or without one.

    With OBJ_OPENIF an existing one of the same type instead; the flag says that it existed. A new
    object has its creator's reference, which is the permanent one's own where OBJ_PERMANENT is set.
    """
    if not attributes.name:
        return make(), False
    root = handle_target(k, attributes.root, "Directory") if attributes.root else None
    found = k.names.walk(attributes.name, root, follow=attributes.has("OBJ_OPENIF"))
    if found.object is not None:
        if found.rest or (attributes.has("OBJ_OPENIF") and found.object.type != type_name):
            raise NtFailure("STATUS_OBJECT_TYPE_MISMATCH", f"{attributes.name} is something else")
        if attributes.has("OBJ_OPENIF"):
            return found.object, True
        raise NtFailure("STATUS_OBJECT_NAME_COLLISION", f"{attributes.name} exists already")
    if found.directory is None:
        raise NtFailure(found.status, f"{attributes.name} cannot be made")
    obj = make()
    k.names.place(obj, found.directory, found.leaf, permanent=attributes.has("OBJ_PERMANENT"))
    obj.exclusive = attributes.has("OBJ_EXCLUSIVE")
    return obj, False


def create_with_handle(
    k: Kernel,
    attributes: Attributes,
    type_name: str,
    make: Callable[[], Object],
    access: int,
    owner: str,
) -> tuple[int, int]:
    """What every ``ZwCreate…`` of a named object does: the handle, and the NTSTATUS."""
    obj, existed = create_named(k, attributes, type_name, make)
    handle = open_handle(k, obj, access, attributes, owner)
    if existed:
        return handle, const("STATUS_OBJECT_NAME_EXISTS")
    if not obj.permanent:
        # From now on the handle keeps it.
        k.ob.dereference(obj.address)
    return handle, 0
