r"""What a target has besides drivers: its registry, and programs that run on it.

::

    target.registry[r"HKLM\SOFTWARE\Lab"]["Depth"] = 5
    depth = target.registry[r"HKLM\SOFTWARE\Lab"]["Depth"]
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .errors import NtStatusError, Unsupported
from .session import reply_bytes

_SZ, _EXPAND_SZ, _BINARY, _DWORD, _MULTI_SZ, _QWORD = 1, 2, 3, 4, 7, 11
_TEXT: Final = (_SZ, _EXPAND_SZ)
#: The names of registry types.
REGISTRY_TYPES: Final = {
    _SZ: "REG_SZ",
    _EXPAND_SZ: "REG_EXPAND_SZ",
    _BINARY: "REG_BINARY",
    _DWORD: "REG_DWORD",
    _MULTI_SZ: "REG_MULTI_SZ",
    _QWORD: "REG_QWORD",
}
_NOT_FOUND, _NO_PATH = 0xC0000034, 0xC000003A
#: Bytes of a file in one request.
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class RegistryValue:
    """A value as the registry keeps it: a ``REG_…`` number and bytes."""

    type: int
    data: bytes


#: What a value can be in Python: REG_DWORD or REG_QWORD, REG_SZ, REG_BINARY, REG_MULTI_SZ, others.
PlainValue = int | str | bytes | list[str] | RegistryValue


def encode_value(value: PlainValue) -> RegistryValue:
    """A Python value as a registry value.

    Raises TypeError for what cannot be one, OverflowError for an integer beyond 64 bits.
    """
    if isinstance(value, RegistryValue):
        return value
    if isinstance(value, int):
        if -(1 << 31) <= value < 1 << 32:
            return RegistryValue(_DWORD, (value & 0xFFFFFFFF).to_bytes(4, "little"))
        return RegistryValue(_QWORD, value.to_bytes(8, "little", signed=value < 0))
    if isinstance(value, str):
        return RegistryValue(_SZ, _wide(value) + b"\0\0")
    if isinstance(value, list | tuple) and all(isinstance(text, str) for text in value):
        return RegistryValue(_MULTI_SZ, b"".join(_wide(t) + b"\0\0" for t in value) + b"\0\0")
    if isinstance(value, bytes | bytearray | memoryview):
        return RegistryValue(_BINARY, bytes(value))
    raise TypeError(f"{type(value).__name__} cannot be a registry value")


def decode_value(value: RegistryValue) -> PlainValue:
    """A registry value as Python has it; the raw one where its data does not fit its type."""
    kind, data = value.type, value.data
    if (kind, len(data)) in ((_DWORD, 4), (_QWORD, 8)):
        return int.from_bytes(data, "little")
    if kind in _TEXT and len(data) % 2 == 0:
        return data.decode("utf-16-le", "surrogatepass").rstrip("\0")
    if kind == _MULTI_SZ and len(data) % 2 == 0:
        text = data.decode("utf-16-le", "surrogatepass").rstrip("\0")
        return text.split("\0") if text else []
    return data if kind == _BINARY else value


def _wide(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


def encode_parameters(parameters: Mapping[str, PlainValue]) -> list[dict[str, Any]]:
    """Values for a driver's Parameters key, as ``load`` sends them."""
    raw = {name: encode_value(value) for name, value in parameters.items()}
    return [{"name": n, "type": v.type, "data": _base64(v.data)} for n, v in raw.items()]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class RegistryKey(MutableMapping[str, Any]):
    """A registry key: a mapping of its values' names to Python values.

    ``key["Depth"] = 5`` makes the key where it is missing. Reading a key that is not there gives no
    values; :attr:`exists` tells. Raises NtStatusError for what the machine or a driver refuses.
    """

    def __init__(self, system: System, path: str) -> None:
        self._system = system
        self.path = path

    def _read(self) -> dict[str, Any] | None:
        try:
            return self._system.call("key_read", path=self.path)
        except NtStatusError as error:
            if error.status & 0xFFFFFFFF == _NOT_FOUND:
                return None
            raise

    @property
    def exists(self) -> bool:
        """Whether there is such a key."""
        return self._read() is not None

    @property
    def subkeys(self) -> list[str]:
        """The names of the keys below it."""
        found = self._read()
        return list(found["subkeys"]) if found is not None else []

    @property
    def raw(self) -> dict[str, RegistryValue]:
        """All values with their types."""
        found = self._read() or {"values": []}
        return {
            v["name"]: RegistryValue(v["type"], bytes.fromhex(v["data"])) for v in found["values"]
        }

    def create(self) -> RegistryKey:
        """Make the key, and those above it, where they are missing."""
        self._system.call("key_create", path=self.path)
        return self

    def delete(self) -> None:
        """Delete the key and all below it."""
        self._system.call("key_delete", path=self.path)

    def __truediv__(self, name: str) -> RegistryKey:
        return RegistryKey(self._system, f"{self.path}\\{name}")

    def __getitem__(self, name: str) -> PlainValue:
        for known, value in self.raw.items():
            if known.upper() == name.upper():
                return decode_value(value)
        raise KeyError(name)

    def __setitem__(self, name: str, value: PlainValue) -> None:
        raw = encode_value(value)
        self._system.call("value_set", path=self.path, name=name, type=raw.type, data=raw.data)

    def __delitem__(self, name: str) -> None:
        self[name]
        self._system.call("value_delete", path=self.path, name=name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)

    def __repr__(self) -> str:
        return f"<RegistryKey {self.path}: {dict(self)!r}>"


class Registry:
    r"""The target's registry: ``registry[r"HKLM\SOFTWARE\Lab"]`` is a :class:`RegistryKey`."""

    def __init__(self, system: System) -> None:
        self._system = system

    def __getitem__(self, path: str) -> RegistryKey:
        return RegistryKey(self._system, path)

    def parameters(self, driver: str) -> RegistryKey:
        """The Parameters key of a driver's service."""
        return self[rf"HKLM\SYSTEM\CurrentControlSet\Services\{driver}\Parameters"]


class Files(MutableMapping[str, bytes]):
    r"""Files of the target's volume by their paths: ``files[r"C:\Lab\x.bin"] = b"…"``.

    Folders are made where they are missing. ``in`` and ``[]`` take any path; iteration goes
    through all files. Raises KeyError for a file that is not there, NtStatusError for the rest.
    """

    def __init__(self, system: System) -> None:
        self._system = system

    def list(self, folder: str = "C:\\") -> list[dict[str, Any]]:
        """What is in a folder: ``name``, ``folder`` (whether it is one) and ``size`` of each."""
        return list(self._system.call("file_list", path=folder)["entries"])

    def __getitem__(self, path: str) -> bytes:
        content = b""
        while True:
            try:
                reply = self._system.call(
                    "file_read", path=path, offset=len(content), length=_CHUNK
                )
            except NtStatusError as error:
                if error.status & 0xFFFFFFFF in (_NOT_FOUND, _NO_PATH):
                    raise KeyError(path) from None
                raise
            content += reply_bytes(reply)
            if len(content) >= reply["size"]:
                return content

    def __setitem__(self, path: str, content: bytes) -> None:
        for offset in range(0, max(len(content), 1), _CHUNK):
            chunk = bytes(content[offset : offset + _CHUNK])
            self._system.call("file_write", path=path, offset=offset, data=chunk)

    def __delitem__(self, path: str) -> None:
        try:
            self._system.call("file_delete", path=path)
        except NtStatusError as error:
            if error.status & 0xFFFFFFFF in (_NOT_FOUND, _NO_PATH):
                raise KeyError(path) from None
            raise

    def __iter__(self) -> Iterator[str]:
        left = ["C:"]
        while left:
            folder = left.pop()
            for entry in self.list(f"{folder}\\"):
                path = f"{folder}\\{entry['name']}"
                if entry["folder"]:
                    left.append(path)
                else:
                    yield path

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Process:
    """A program on the target: what drivers see of one. Its own code is not run."""

    def __init__(self, system: System, pid: int, name: str, threads: Sequence[int]) -> None:
        self._system = system
        self.pid = pid
        self.name = name
        #: Identifiers of its threads, the first one's first.
        self.threads = list(threads)
        self.exited = False

    def exit(self, code: int = 0) -> None:
        """End it, with all notifications. Does nothing when it has ended."""
        if not self.exited:
            self._system.call("exit_process", pid=self.pid, code=code)
            self.exited = True

    def load_image(self, name: str, size: int = 0x10000) -> int:
        """Map a DLL of ``size`` bytes of address space; its base."""
        reply = self._system.call("load_image", pid=self.pid, name=name, size=size)
        return int(reply["base"], 16)

    def start_thread(self) -> int:
        """One more thread; its identifier."""
        thread = int(self._system.call("start_thread", pid=self.pid)["thread"])
        self.threads.append(thread)
        return thread

    def exit_thread(self, thread: int) -> None:
        """End a thread; the process ends with its last one."""
        self._system.call("exit_thread", thread=thread)
        self.threads.remove(thread)
        self.exited = not self.threads

    def open(self, access: int) -> int:
        """What :meth:`System.open_process` does."""
        return self._system.open_process(self.pid, access)

    def __repr__(self) -> str:
        return f"<Process {self.pid} {self.name}{', exited' if self.exited else ''}>"


class System:
    """What of a target's API is about its registry, its programs, and what drivers have on it."""

    #: What its endpoint can do besides the ordinary, by name: ``inspect`` say.
    features: frozenset[str] = frozenset()

    def call(self, command: str, *, timeout: float | None = None, **fields: Any) -> dict[str, Any]:
        """One request of the protocol."""
        raise NotImplementedError

    def inspect(self, driver: str, *, most: int = 200) -> dict[str, Any]:
        """What a driver has on the machine, as the target says it; it changes nothing there.

        ``driver.info()`` has the same as typed rows. Also after a bug check. Raises Unsupported
        where the target does not tell.
        """
        if "inspect" not in self.features:
            raise Unsupported("this target does not tell what a driver has on the machine")
        return self.call("inspect", driver=driver, most=most)

    @property
    def registry(self) -> Registry:
        """The registry, as a program on the machine has it."""
        return Registry(self)

    @property
    def files(self) -> Files:
        """The files of the volume C:, which drivers have too."""
        return Files(self)

    def spawn(
        self, name: str, *, command_line: str = "", parent: Process | int | None = None
    ) -> Process:
        r"""Create a process as a program on the machine would: notifications come for it.

        ``name`` is a program in System32 or a whole path, ``parent`` who is to count as its
        creator, this client unless given. Raises NtStatusError with the CreationStatus of a driver
        that refuses.
        """
        creator = parent.pid if isinstance(parent, Process) else parent or 0
        reply = self.call("spawn", name=name, command_line=command_line, parent=creator)
        return Process(self, reply["pid"], reply["name"], reply["threads"])

    @property
    def processes(self) -> list[dict[str, Any]]:
        """All processes: ``pid``, ``name``, ``parent``, ``command_line``, ``threads`` and so on."""
        return list(self.call("processes")["processes"])

    def open_process(self, pid: int, access: int) -> int:
        """Open a process and close the handle again; the access mask that was granted.

        ``access`` is ``PROCESS_…`` rights. Drivers' handle callbacks may take rights away.
        """
        return int(self.call("open_process", pid=pid, access=access)["access"])
