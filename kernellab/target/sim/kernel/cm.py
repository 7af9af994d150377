r"""The configuration manager: the registry, in memory.

Keys and values keep the case they were made with and are found without it; subkeys are listed in
the order of their upcased names, values in the order in which they were set. Each open of a key is
an object of its own, as in NT. ``\REGISTRY`` is the object in the namespace behind which the tree
begins; ``CurrentControlSet`` is a symbolic link. Nothing is kept when the machine is rebooted. WDK
pages: "Registry Key Object Routines", "Registry Trees and Keys", "ZwCreateKey function (wdm.h)".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from . import cm_watch
from .cm_watch import LAST_SET, NAME, Watch
from .driver import NtFailure
from .names import upcased
from .ob import Object
from .structs import const

if TYPE_CHECKING:
    from .kernel import Kernel

REG_NONE, REG_SZ, REG_EXPAND_SZ, REG_BINARY, REG_DWORD, REG_LINK, REG_MULTI_SZ = (
    *(0, 1, 2, 3, 4),
    *(6, 7),
)
_KEY_BODY_SIZE: Final = 0x60
_LONGEST_KEY: Final = 255
_LONGEST_VALUE: Final = 16383
_LINKS_DEEP: Final = 32
_BUILD: Final = "19045"
#: The security identifier of whoever runs the client.
USER_SID: Final = "S-1-5-21-1004336348-1177238915-682003330-1001"
CONTROL_SET: Final = r"\REGISTRY\MACHINE\SYSTEM\ControlSet001"
SERVICES: Final = CONTROL_SET + r"\Services"


@dataclass(slots=True)
class Value:
    """A value: ``type`` is a ``REG_…`` number, ``data`` its bytes as they are kept."""

    name: str
    type: int
    data: bytes


@dataclass(slots=True, eq=False)
class KeyNode:
    """A key in the tree. ``written`` is a system time, units of 100 ns since 1601."""

    name: str
    parent: KeyNode | None = None
    subkeys: dict[str, KeyNode] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    key_class: str = ""
    written: int = 0
    volatile: bool = False
    #: Where a symbolic link leads.
    link: str = ""
    deleted: bool = False
    #: What CmCallbackGetKeyObjectID tells: the same for each open of the key.
    number: int = 0

    @property
    def path(self) -> str:
        """The full path, ``\\REGISTRY\\MACHINE\\…``."""
        parts = []
        node: KeyNode | None = self
        while node is not None:
            parts.append(node.name)
            node = node.parent
        return "\\" + "\\".join(reversed(parts))

    def listed(self) -> list[KeyNode]:
        """Subkeys in the order in which they are enumerated."""
        return [self.subkeys[key] for key in sorted(self.subkeys)]


@dataclass(slots=True, eq=False)
class KeyBody:
    """What a key object keeps: the key that it is an open of, and what watches it."""

    node: KeyNode
    watch: Watch | None = None


class ConfigurationManager:
    """The tree of keys, and how keys are opened, made and deleted."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        self._numbers = 0
        self.root = KeyNode("REGISTRY")
        obj = Object(k.new_object(_KEY_BODY_SIZE), "Key", KeyBody(self.root))
        k.names.add(k.ob.insert(obj), r"\REGISTRY", permanent=True)
        for path in (
            *(r"MACHINE\HARDWARE\DESCRIPTION\SYSTEM", r"MACHINE\HARDWARE\DEVICEMAP"),
            *(r"MACHINE\SYSTEM\ControlSet001\Control", r"MACHINE\SYSTEM\ControlSet001\Enum"),
            *(r"MACHINE\SYSTEM\ControlSet001\Services", r"USER\.DEFAULT\Software"),
            rf"USER\{USER_SID}\Software",
        ):
            self.make("\\REGISTRY\\" + path)
        self.make(r"\REGISTRY\MACHINE\SYSTEM\CurrentControlSet").link = CONTROL_SET
        version = self.make(r"\REGISTRY\MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion")
        self.set(version, "CurrentBuildNumber", REG_SZ, text_data(_BUILD))
        self.set(version, "SystemRoot", REG_SZ, text_data(r"C:\Windows"))

    # -- the tree -------------------------------------------------------------------------------

    def make(self, path: str) -> KeyNode:
        """The key at a full path, made with all above it where it is missing."""
        node = self.root
        for part in path.split("\\")[2:]:
            following = node.subkeys.get(upcased(part))
            if following is None:
                following = self._add(node, part)
            node = self.target(following)
        return node

    def _add(self, parent: KeyNode, name: str) -> KeyNode:
        self._numbers += 1
        node = KeyNode(name, parent, written=self._time(), number=self._numbers)
        parent.subkeys[upcased(name)] = node
        parent.written = node.written
        cm_watch.changed(self._k, parent, NAME)
        return node

    def target(self, node: KeyNode) -> KeyNode:
        """Where a symbolic link leads in the end; another key is its own target."""
        for _ in range(_LINKS_DEEP):
            if not node.link:
                return node
            found = self.find(node.link)
            if found is None:
                break
            node = found
        raise NtFailure("STATUS_OBJECT_NAME_NOT_FOUND", f"the link {node.path} leads nowhere")

    def find(self, path: str) -> KeyNode | None:
        """The key at a full path in any case, None where there is none."""
        parts = path.split("\\")
        if parts[:1] != [""] or len(parts) < 2 or parts[1].upper() != "REGISTRY":
            return None
        try:
            return self.walk(self.root, "\\".join(parts[2:]))[0]
        except NtFailure:
            return None

    def walk(
        self, node: KeyNode, rest: str, *, open_link: bool = False, create: bool = False
    ) -> tuple[KeyNode, str]:
        """Follow ``rest`` from ``node``: the key, or with ``create`` its parent and last name.

        Raises NtFailure where a key on the way is missing.
        """
        parts = rest.strip("\\").split("\\") if rest.strip("\\") else []
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            if not part or len(part) > _LONGEST_KEY:
                raise NtFailure("STATUS_OBJECT_NAME_INVALID", f"{rest!r} is no path of a key")
            following = node.subkeys.get(upcased(part))
            if following is None:
                if last and create:
                    return node, part
                raise NtFailure("STATUS_OBJECT_NAME_NOT_FOUND", f"there is no key {rest}")
            node = following if last and open_link else self.target(following)
        return node, ""

    def _time(self) -> int:
        return self._k.boot_time + self._k.now

    # -- keys -----------------------------------------------------------------------------------

    def create(
        self, parent: KeyNode, name: str, *, volatile: bool = False, key_class: str = ""
    ) -> KeyNode:
        """A new subkey. Raises NtFailure where there can be none."""
        if parent is self.root:
            raise NtFailure("STATUS_ACCESS_DENIED", r"no key can be made below \REGISTRY itself")
        if parent.deleted:
            raise NtFailure("STATUS_KEY_DELETED", f"{parent.path} was deleted")
        if parent.volatile and not volatile:
            raise NtFailure(
                "STATUS_CHILD_MUST_BE_VOLATILE", f"{parent.path} is volatile, so {name} must be"
            )
        node = self._add(parent, name)
        node.volatile, node.key_class = volatile, key_class
        return node

    def delete(self, node: KeyNode) -> None:
        """Delete a key without subkeys; who has it open finds it deleted."""
        if node.subkeys or node.parent is None or node.parent is self.root:
            raise NtFailure("STATUS_CANNOT_DELETE", f"{node.path} has subkeys")
        del node.parent.subkeys[upcased(node.name)]
        node.parent.written = self._time()
        node.deleted = True
        cm_watch.changed(self._k, node.parent, NAME)
        cm_watch.deleted(self._k, node)

    def rename(self, node: KeyNode, name: str) -> None:
        """Give a key another last name."""
        parent = node.parent
        if parent is None or parent is self.root or not name or "\\" in name:
            raise NtFailure("STATUS_INVALID_PARAMETER", f"{node.path} cannot be called {name!r}")
        taken = parent.subkeys.get(upcased(name))
        if taken is not None and taken is not node:
            raise NtFailure("STATUS_CANNOT_DELETE", f"{name} exists already")
        del parent.subkeys[upcased(node.name)]
        node.name = name
        parent.subkeys[upcased(name)] = node
        node.written = parent.written = self._time()
        cm_watch.changed(self._k, parent, NAME)

    def set(self, node: KeyNode, name: str, kind: int, data: bytes) -> None:
        """Set a value; an empty name is the key's default value."""
        if len(name) > _LONGEST_VALUE:
            raise NtFailure("STATUS_INVALID_PARAMETER", "a value's name of over 16,383 characters")
        existing = node.values.get(upcased(name))
        same = existing is not None and (existing.type, existing.data) == (kind, data)
        if existing is None:
            node.values[upcased(name)] = Value(name, kind, data)
        else:
            existing.type, existing.data = kind, data
        if kind == REG_LINK and upcased(name) == "SYMBOLICLINKVALUE":
            node.link = data.decode("utf-16-le", "surrogatepass")
        node.written = self._time()
        if not same:
            cm_watch.changed(self._k, node, LAST_SET)

    def value(self, node: KeyNode, name: str) -> Value:
        """A value by name. Raises NtFailure where there is none."""
        found = node.values.get(upcased(name))
        if found is None:
            raise NtFailure(
                "STATUS_OBJECT_NAME_NOT_FOUND", f"{node.path} has no value {name or '(default)'}"
            )
        return found

    def delete_value(self, node: KeyNode, name: str) -> None:
        """Delete a value. Raises NtFailure where there is none."""
        del node.values[upcased(self.value(node, name).name)]
        node.written = self._time()
        cm_watch.changed(self._k, node, LAST_SET)

    # -- objects --------------------------------------------------------------------------------

    def new_object(self, node: KeyNode, owner: str) -> Object:
        """A key object: one open of a key. It has its creator's reference."""
        k = self._k
        address, body = k.new_object(_KEY_BODY_SIZE), KeyBody(node)
        obj = Object(*(address, "Key", body, "", owner), on_delete=k.ob.free, on_close=self._closed)
        return k.ob.insert(obj)

    def _closed(self, obj: Object) -> None:
        cm_watch.closed(self._k, obj)

    def add_service(self, name: str, image: str) -> KeyNode:
        """The key of a driver's service, as the service control manager writes it."""
        service = self.make(f"{SERVICES}\\{name}")
        values = [("Type", 1), ("Start", 3), ("ErrorControl", 1)]
        given = [(n, REG_DWORD, number.to_bytes(4, "little")) for n, number in values]
        given += [("ImagePath", REG_EXPAND_SZ, text_data(image))]
        given += [("DisplayName", REG_SZ, text_data(name))]
        for value, kind, data in given:
            # What is there was set by whoever came first.
            if upcased(value) not in service.values:
                self.set(service, value, kind, data)
        self.make(f"{SERVICES}\\{name}\\Parameters")
        return service

    def set_parameters(self, name: str, values: Sequence[tuple[str, int, bytes]]) -> None:
        """Put values (name, type, data) into the Parameters key of a driver's service."""
        node = self.make(f"{SERVICES}\\{name}\\Parameters")
        for value, kind, data in values:
            self.set(node, value, kind, data)


def text_data(text: str) -> bytes:
    """Text as REG_SZ keeps it: UTF-16, with a NUL at its end."""
    return (text + "\0").encode("utf-16-le", "surrogatepass")


def node_of(obj: Object) -> KeyNode:
    """The key behind a key object. Raises NtFailure where it was deleted."""
    body = obj.payload
    assert isinstance(body, KeyBody)
    if body.node.deleted:
        raise NtFailure(const("STATUS_KEY_DELETED"), f"{body.node.path} was deleted")
    return body.node
