"""The registry's system services: each operation with its notifications.

Drivers reach them as ``Zw…Key``, the client through the protocol. Each is an activity whose value
is an NTSTATUS; NtFailure is raised for what fails before the operation as such begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .attributes import Attributes, handle_target, open_handle
from .cm import KeyBody, KeyNode, node_of
from .cm_info import ENUMERATED, deliver, key_information, value_information
from .cm_notify import Scratch, notified, watched
from .driver import NtFailure
from .execution import Steps
from .ob import Object
from .obtypes import type_of
from .structs import const

if TYPE_CHECKING:
    from .kernel import Kernel

_CREATED, _OPENED = 1, 2  # REG_CREATED_NEW_KEY, REG_OPENED_EXISTING_KEY
_VERSION: Final = 1


@dataclass(slots=True)
class Opening:
    """A key on its way to being opened or created: what is asked for, and what came of it."""

    k: Kernel
    attributes: Attributes
    access: int
    owner: str
    create: bool
    options: int = 0
    key_class: str = ""
    handle: int = 0
    disposition: int = 0
    #: Where a driver that handles the operation itself leaves its object.
    result_at: int = 0
    opened: list[int] = field(default_factory=list)

    def act(self) -> int:
        """Open or create the key."""
        try:
            node = self._node()
        except NtFailure as failure:
            return failure.status
        obj = self.k.cm.new_object(node, self.owner)
        self.handle = open_handle(self.k, obj, self.access, self.attributes, self.owner)
        self.k.ob.dereference(obj.address)
        self.opened.append(obj.address)
        return 0

    def _node(self) -> KeyNode:
        cm, attributes = self.k.cm, self.attributes
        start, rest = self._start()
        link = const("REG_OPTION_OPEN_LINK") | const("REG_OPTION_CREATE_LINK")
        open_link = bool(self.options & link) or attributes.has("OBJ_OPENLINK")
        node, missing = cm.walk(start, rest, open_link=open_link, create=self.create)
        self.disposition = _OPENED
        if missing:
            volatile = bool(self.options & const("REG_OPTION_VOLATILE"))
            node = cm.create(node, missing, volatile=volatile, key_class=self.key_class)
            self.disposition = _CREATED
        return node

    def _start(self) -> tuple[KeyNode, str]:
        k, attributes = self.k, self.attributes
        if attributes.root:
            return node_of(handle_target(k, attributes.root, "Key")), attributes.name or ""
        found = k.names.walk(attributes.name or "")
        if found.object is None:
            raise NtFailure(found.status, f"there is no key {attributes.name}")
        if found.object.type != "Key":
            raise NtFailure("STATUS_OBJECT_TYPE_MISMATCH", f"{attributes.name} is no key")
        return node_of(found.object), found.rest

    def fields(self, scratch: Scratch) -> Mapping[str, int]:
        """REG_CREATE_KEY_INFORMATION_V1, which is REG_OPEN_KEY_INFORMATION_V1 too."""
        k, attributes = self.k, self.attributes
        root = handle_target(k, attributes.root, "Key").address if attributes.root else 0
        self.result_at = scratch.block(8)
        name = scratch.text(attributes.name or "")
        return {
            "CompleteName": name,
            "RemainingName": name,
            "RootObject": root,
            "ObjectType": next((a for a, t in k.object_types.items() if t == "Key"), 0),
            "Options": self.options,
            "Class": scratch.text(self.key_class) if self.key_class else 0,
            "DesiredAccess": self.access,
            "GrantedAccess": type_of("Key").map(self.access),
            "Disposition": scratch.block(4),
            "ResultObject": self.result_at,
            "Version": _VERSION,
            "Attributes": attributes.flags,
        }

    def bypassed(self) -> int:
        """A driver did it: its object becomes the caller's."""
        address = self.k.memory.u64(self.result_at)
        obj = self.k.ob.get(address)
        self.handle = open_handle(self.k, obj, self.access, self.attributes, self.owner)
        # The driver's reference was given with the object.
        self.k.ob.dereference(address)
        return 0

    def result(self) -> int:
        """The key object of the post-notification; 0 where there is none."""
        return self.opened[0] if self.opened else 0


def NtCreateKey(opening: Opening) -> Steps:  # noqa: N802 - NT's name
    """Open or create the key; the handle is in ``opening`` then."""
    operation = "CreateKeyEx" if opening.create else "OpenKeyEx"
    return (
        yield from notified(
            *(opening.k, operation, "REG_CREATE_KEY_INFORMATION_V1", opening.fields, opening.act),
            bypassed=opening.bypassed,
            result=opening.result,
        )
    )


def _simple(
    k: Kernel,
    obj: Object,
    operation: str,
    fields: Callable[[Scratch], Mapping[str, int]],
    action: Callable[[KeyNode], int],
) -> Steps:
    """An operation on an open key, whose structure is called as the operation is."""

    def act() -> int:
        try:
            return action(node_of(obj))
        except NtFailure as failure:
            return failure.status

    def given(scratch: Scratch) -> Mapping[str, int]:
        return {"Object": obj.address, **fields(scratch)}

    # The one for flushing has the fields of the one for deleting.
    shape = "DeleteKey" if operation == "FlushKey" else operation
    words = "".join("_" + c if c.isupper() else c for c in shape).upper()
    return (yield from notified(k, operation, f"REG{words}_INFORMATION", given, act))


def NtSetValueKey(  # noqa: N802 - NT's name
    k: Kernel, obj: Object, name: str, kind: int, data: bytes
) -> Steps:
    """Set a value. The data of a pre-notification is a copy in kernel memory."""

    def fields(scratch: Scratch) -> Mapping[str, int]:
        return {
            "ValueName": scratch.text(name),
            "Type": kind,
            "Data": scratch.data(data),
            "DataSize": len(data),
        }

    def action(node: KeyNode) -> int:
        k.cm.set(node, name, kind, data)
        return 0

    return (yield from _simple(k, obj, "SetValueKey", fields, action))


def NtDeleteValueKey(k: Kernel, obj: Object, name: str) -> Steps:  # noqa: N802 - NT's name
    """Delete a value."""

    def action(node: KeyNode) -> int:
        k.cm.delete_value(node, name)
        return 0

    def fields(scratch: Scratch) -> Mapping[str, int]:
        return {"ValueName": scratch.text(name)}

    return (yield from _simple(k, obj, "DeleteValueKey", fields, action))


def NtDeleteKey(k: Kernel, obj: Object) -> Steps:  # noqa: N802 - NT's name
    """Delete a key; its handles stay and answer STATUS_KEY_DELETED."""

    def action(node: KeyNode) -> int:
        k.cm.delete(node)
        return 0

    return (yield from _simple(k, obj, "DeleteKey", lambda _: {}, action))


def NtRenameKey(k: Kernel, obj: Object, name: str) -> Steps:  # noqa: N802 - NT's name
    """Give a key another last name."""

    def action(node: KeyNode) -> int:
        k.cm.rename(node, name)
        return 0

    return (yield from _simple(k, obj, "RenameKey", lambda s: {"NewName": s.text(name)}, action))


def NtFlushKey(k: Kernel, obj: Object) -> Steps:  # noqa: N802 - NT's name
    """Nothing is to be written: the registry is in memory."""
    return (yield from _simple(k, obj, "FlushKey", lambda _: {}, lambda _: 0))


def NtQueryValueKey(  # noqa: N802 - NT's name
    k: Kernel, obj: Object, name: str, kind: int, buffer: int, length: int, result_length: int
) -> Steps:
    """Tell a value in a KEY_VALUE_INFORMATION_CLASS' structure."""

    def action(node: KeyNode) -> int:
        raw, fixed = value_information(k.cm.value(node, name), kind)
        return deliver(k.memory, raw, fixed, buffer, length, result_length)

    def fields(scratch: Scratch) -> Mapping[str, int]:
        return {
            "ValueName": scratch.text(name),
            "KeyValueInformationClass": kind,
            "KeyValueInformation": buffer,
            "Length": length,
            "ResultLength": result_length,
        }

    return (yield from _simple(k, obj, "QueryValueKey", fields, action))


def NtEnumerateValueKey(  # noqa: N802 - NT's name
    k: Kernel, obj: Object, index: int, kind: int, buffer: int, length: int, result_length: int
) -> Steps:
    """Tell the value with an index."""

    def action(node: KeyNode) -> int:
        if index >= len(node.values):
            return const("STATUS_NO_MORE_ENTRIES")
        raw, fixed = value_information(list(node.values.values())[index], kind)
        return deliver(k.memory, raw, fixed, buffer, length, result_length)

    def fields(_: Scratch) -> Mapping[str, int]:
        return {
            "Index": index,
            "KeyValueInformationClass": kind,
            "KeyValueInformation": buffer,
            "Length": length,
            "ResultLength": result_length,
        }

    return (yield from _simple(k, obj, "EnumerateValueKey", fields, action))


def NtEnumerateKey(  # noqa: N802 - NT's name
    k: Kernel, obj: Object, index: int, kind: int, buffer: int, length: int, result_length: int
) -> Steps:
    """Tell the subkey with an index."""

    def action(node: KeyNode) -> int:
        if kind not in ENUMERATED:
            return const("STATUS_INVALID_PARAMETER")
        if index >= len(node.subkeys):
            return const("STATUS_NO_MORE_ENTRIES")
        raw, fixed = key_information(node.listed()[index], kind)
        return deliver(k.memory, raw, fixed, buffer, length, result_length)

    def fields(_: Scratch) -> Mapping[str, int]:
        return {
            "Index": index,
            "KeyInformationClass": kind,
            "KeyInformation": buffer,
            "Length": length,
            "ResultLength": result_length,
        }

    return (yield from _simple(k, obj, "EnumerateKey", fields, action))


def NtQueryKey(  # noqa: N802 - NT's name
    k: Kernel, obj: Object, kind: int, buffer: int, length: int, result_length: int
) -> Steps:
    """Tell of the key itself."""

    def action(node: KeyNode) -> int:
        raw, fixed = key_information(node, kind)
        return deliver(k.memory, raw, fixed, buffer, length, result_length)

    def fields(_: Scratch) -> Mapping[str, int]:
        return {
            "KeyInformationClass": kind,
            "KeyInformation": buffer,
            "Length": length,
            "ResultLength": result_length,
        }

    return (yield from _simple(k, obj, "QueryKey", fields, action))


def CmCloseHandle(k: Kernel, handle: int, pid: int) -> Steps:  # noqa: N802 - as the others
    """Close a key's handle, which drivers are told of."""
    entry = k.ob.find(handle, pid)
    if entry is None:
        return const("STATUS_INVALID_HANDLE")
    address = entry.object.address

    def act() -> int:
        k.ob.close(handle, pid)
        return 0

    return (
        yield from notified(
            *(k, "KeyHandleClose", "REG_KEY_HANDLE_CLOSE_INFORMATION"),
            *(lambda _: {"Object": address}, act),
        )
    )


def is_watched_key(k: Kernel, obj: Object) -> bool:
    """Whether closing its handle is something that drivers are told of."""
    return isinstance(obj.payload, KeyBody) and watched(k)
