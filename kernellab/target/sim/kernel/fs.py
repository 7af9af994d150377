r"""The machine's volume: a tree of files in memory, mounted as ``\??\C:`` and nothing else.

Names keep their case and are found without it, as on NTFS. Nothing in it refers to the host's file
system, so that no path leads out of it; :mod:`.fs_host` loads and writes back the folder that the
client may have given. WDK pages: "ZwCreateFile function (wdm.h)", "Using Files in a Driver".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from . import fs_mapping
from .driver import NtFailure
from .fs_host import HostFolder
from .fs_mapping import Mapping
from .names import Link, upcased
from .ob import Object
from .structs import Struct, const, size_of

if TYPE_CHECKING:
    from .kernel import Kernel

DEVICE: Final = r"\Device\HarddiskVolume1"
_FORBIDDEN: Final = frozenset('<>:"|?*/')
_LONGEST: Final = 255
#: Bytes of all files together.
CAPACITY: Final = 256 << 20
CLUSTER: Final = 4096
_DELETE_ON_CLOSE: Final = 0x1000


@dataclass(slots=True, eq=False)
class Node:
    """A file or folder. Times are system times, units of 100 ns since 1601."""

    name: str
    number: int
    parent: Node | None = None
    #: Of a folder, by upcased name; None for a file.
    children: dict[str, Node] | None = None
    data: bytearray = field(default_factory=bytearray)
    attributes: int = 0
    created: int = 0
    accessed: int = 0
    written: int = 0
    changed: int = 0
    delete_pending: bool = False
    #: Whether the data has to be written back to the client's folder.
    dirty: bool = False
    opens: list[OpenFile] = field(default_factory=list)
    #: Its pages while it is in a section.
    mapping: Mapping | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.children is not None

    @property
    def path(self) -> str:
        """The path on its volume; ``\\`` for the root."""
        parts: list[str] = []
        node: Node | None = self
        while node is not None and node.parent is not None:
            parts.append(node.name)
            node = node.parent
        return "\\" + "\\".join(reversed(parts))

    def shown_attributes(self) -> int:
        """FILE_ATTRIBUTE_… as they are told."""
        if self.is_folder:
            return self.attributes | const("FILE_ATTRIBUTE_DIRECTORY")
        return self.attributes or const("FILE_ATTRIBUTE_NORMAL")


@dataclass(slots=True, eq=False)
class OpenFile:
    """What a file object of this volume keeps."""

    node: Node
    address: int
    access: int
    share: int
    options: int
    #: Where an enumeration of the folder goes on, and for which names.
    scan: int | None = None
    pattern: str = ""


class Volume:
    """The files, and the device that stands for them in the namespace."""

    def __init__(self, k: Kernel, folder: str = "") -> None:
        self._k = k
        self._numbers = 4
        self.root = Node("", self._number(), children={})
        self.host = HostFolder(folder) if folder else None
        self.device = self._device()
        k.names.add(self.device, DEVICE, permanent=True)
        for name, target in ((r"\??\C:", DEVICE), (r"\SystemRoot", DEVICE + r"\Windows")):
            k.names.add(k.names.new_link(Link(name, target, "")), name, permanent=True)
        for path in (r"Windows\System32\drivers", r"Windows\Temp"):
            self.make_folders(path.split("\\"))
        if self.host is not None:
            self.host.load(self)

    def _device(self) -> Object:
        """A DEVICE_OBJECT of a file system's driver that takes no IRPs from others."""
        k = self._k
        driver = k.new_object(size_of("DRIVER_OBJECT"))
        entry = Struct(k.memory, "DRIVER_OBJECT", driver)
        entry["Type"], entry["Size"] = const("IO_TYPE_DRIVER"), size_of("DRIVER_OBJECT")
        table, invalid = entry.at("MajorFunction"), k.stub_of("IopInvalidDeviceRequest")
        for index in range(const("IRP_MJ_MAXIMUM_FUNCTION") + 1):
            k.memory.set_u64(table + 8 * index, invalid)
        obj = k.ob.insert(Object(driver, "Driver", None, "Ntfs"))
        k.names.add(obj, r"\FileSystem\Ntfs", permanent=True)
        device = k.new_object(size_of("DEVICE_OBJECT"))
        entry["DeviceObject"] = device
        volume = Struct(k.memory, "DEVICE_OBJECT", device)
        volume["Type"], volume["Size"] = const("IO_TYPE_DEVICE"), size_of("DEVICE_OBJECT")
        volume["DriverObject"] = driver
        volume["DeviceType"] = const("FILE_DEVICE_DISK_FILE_SYSTEM")
        volume["StackSize"] = 1
        volume["SectorSize"] = 512
        return k.ob.insert(Object(device, "Device", self))

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def now(self) -> int:
        """The system time."""
        return self._k.boot_time + self._k.now

    @property
    def used(self) -> int:
        """Bytes of all files together."""
        total, left = 0, [self.root]
        while left:
            node = left.pop()
            total += len(node.data)
            left += (node.children or {}).values()
        return total

    # -- the tree -------------------------------------------------------------------------------

    def split(self, path: str) -> list[str]:
        """The names in a path on the volume, each checked. Raises NtFailure for a bad one."""
        parts = path.strip("\\").split("\\") if path.strip("\\") else []
        for part in parts:
            check_name(part)
        return parts

    def walk(self, parts: list[str], start: Node | None = None) -> tuple[Node, Node | None]:
        """The folder of the last name and what has that name, or the start where there is none.

        Raises NtFailure where a folder on the way is missing.
        """
        here = start or self.root
        if not parts:
            return here, here
        for part in parts[:-1]:
            following = (here.children or {}).get(upcased(part))
            if following is None or not following.is_folder:
                raise NtFailure("STATUS_OBJECT_PATH_NOT_FOUND", f"there is no folder {part}")
            here = following
        if here.children is None:
            raise NtFailure("STATUS_OBJECT_PATH_NOT_FOUND", f"{here.path} is no folder")
        return here, here.children.get(upcased(parts[-1]))

    def find(self, path: str) -> Node:
        """What is at a path on the volume. Raises NtFailure where nothing is."""
        _, found = self.walk(self.split(path))
        if found is None:
            raise NtFailure("STATUS_OBJECT_NAME_NOT_FOUND", f"there is no file {path}")
        return found

    def make(self, folder: Node, name: str, *, is_folder: bool, attributes: int = 0) -> Node:
        """A new file or folder."""
        now = self.now()
        node = Node(name, self._number(), folder, {} if is_folder else None)
        node.created = node.accessed = node.written = node.changed = now
        node.attributes = attributes if is_folder else attributes | const("FILE_ATTRIBUTE_ARCHIVE")
        assert folder.children is not None
        folder.children[upcased(name)] = node
        folder.written = folder.changed = now
        node.dirty = True
        self.write_back(node)
        return node

    def make_folders(self, parts: list[str]) -> Node:
        """The folder with these names, made where it is missing."""
        here = self.root
        for part in parts:
            if here.children is None:
                raise NtFailure("STATUS_NOT_A_DIRECTORY", f"{here.path} is no folder")
            following = here.children.get(upcased(part))
            here = following or self.make(here, part, is_folder=True)
        return here

    def remove(self, node: Node) -> None:
        """Take a file or an empty folder away."""
        if node.parent is not None and node.parent.children is not None:
            if self.host is not None:
                self.host.remove(node)
            del node.parent.children[upcased(node.name)]
            node.parent.written = node.parent.changed = self.now()
            node.parent = None

    def move(self, node: Node, folder: Node, name: str) -> None:
        """Give it another name, in another folder perhaps."""
        old = node.parent
        assert old is not None and old.children is not None and folder.children is not None
        source = node.path
        del old.children[upcased(node.name)]
        node.name, node.parent = name, folder
        folder.children[upcased(name)] = node
        node.changed = old.written = folder.written = self.now()
        if self.host is not None:
            self.host.move(source, node)

    def resize(self, node: Node, size: int) -> None:
        """Change a file's length; new bytes are zero. Raises NtFailure where it is full."""
        old = len(node.data)
        grown = size - old
        if grown < 0 and node.mapping is not None:
            raise NtFailure("STATUS_USER_MAPPED_FILE", f"{node.path} is in a section")
        if grown > 0:
            if grown > CAPACITY or self.used + grown > CAPACITY:
                raise NtFailure("STATUS_DISK_FULL", "the simulated volume is full")
            node.data += bytes(grown)
            fs_mapping.push(self._k, node, old)
        else:
            del node.data[size:]
        self.touch(node)

    def touch(self, node: Node) -> None:
        """A file's data was changed."""
        node.written = node.changed = self.now()
        node.attributes |= const("FILE_ATTRIBUTE_ARCHIVE")
        node.dirty = True

    def cleanup(self, obj: Object) -> None:
        """The last handle of a file object was closed: what was to go with it goes."""
        file = obj.payload
        assert isinstance(file, OpenFile)
        node = file.node
        if file not in node.opens:
            return  # opened once more by pointer, after its end
        node.opens.remove(file)
        unused = not node.children and node.parent is not None and node.mapping is None
        if file.options & _DELETE_ON_CLOSE and unused:
            node.delete_pending = True
        if node.delete_pending:
            if not node.opens:
                self.remove(node)
        else:
            self.write_back(node)

    def write_back(self, node: Node) -> None:
        """Bring what was changed to the client's folder."""
        fs_mapping.pull(self._k, node)
        if node.dirty:
            node.dirty = False
            if self.host is not None and node.parent is not None:
                self.host.write(node)


def check_name(name: str) -> None:
    """Raises NtFailure for what no file can be called; ``.`` and ``..`` among it."""
    if (
        not name
        or len(name) > _LONGEST
        or name in (".", "..")
        or any(c in _FORBIDDEN or c < " " or c == "\\" for c in name)
        or name[-1] in " ."
    ):
        raise NtFailure("STATUS_OBJECT_NAME_INVALID", f"{name!r} cannot be a file's name")
