"""What there is to know of a driver now, as typed rows, and as tables for a terminal.

::

    info = hello.info()
    print(info)              # everything, as text
    info.sha256, info.base   # the image
    hello.devices, hello.pool, hello.irps, hello.handles

Asking changes nothing on the machine: no time passes there, and nothing is printed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

from ..errors import LoadError

#: Rows of each kind that are asked for.
ROWS: Final = 200

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Import:
    """What the image imports; ``simulated`` is whether the target ``sim`` has it."""

    module: str = ""
    name: str = ""
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """A device object. ``type`` is its DeviceType; ``handles`` how many file objects are open."""

    address: str = ""
    name: str = ""
    type: int = 0
    handles: int = 0
    exclusive: bool = False
    deleted: bool = False
    attached_to: str = ""


@dataclass(frozen=True, slots=True)
class SymbolicLink:
    """A symbolic link that the driver made, and where it leads."""

    name: str = ""
    target: str = ""

    @property
    def win32(self) -> str:
        r"""What a program opens, ``\\.\Echo``; empty where programs cannot."""
        for prefix in ("\\??\\", "\\DosDevices\\", "\\GLOBAL??\\"):
            if self.name.lower().startswith(prefix.lower()):
                return "\\\\.\\" + self.name[len(prefix) :]
        return ""


@dataclass(frozen=True, slots=True)
class OpenHandle:
    """An open handle to one of its devices; ``own`` where it is one of this client's."""

    handle: int = 0
    path: str = ""
    device: str = ""
    by: str = ""
    own: bool = False


@dataclass(frozen=True, slots=True)
class PoolTag:
    """Pool with one tag: ``live`` allocations of ``bytes`` together, the most there were.

    ``made`` is how many there were ever. ``course`` is (virtual seconds, bytes), the most of each
    span; spans are longer where there was much to tell.
    """

    tag: str = ""
    live: int = 0
    bytes: int = 0
    peak: int = 0
    made: int = 0
    course: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Irp:
    """An IRP that it has or had.

    ``state`` is ``made`` (not sent yet), ``in the driver`` (a dispatch routine runs), ``pending``,
    ``queued`` (pending, and it can be cancelled), ``completed`` or ``freed``, each ``since`` so
    many virtual seconds; ``status`` is an NTSTATUS's name once it is completed.
    """

    irp: str = ""
    major: str = ""
    device: str = ""
    thread: int = 0
    by: str = ""
    state: str = ""
    since: float = 0.0
    status: str = ""


@dataclass(frozen=True, slots=True)
class DriverThread:
    """A thread that it started."""

    thread: int = 0
    priority: int = 0
    state: str = ""


@dataclass(frozen=True, slots=True)
class DriverTimer:
    """A timer that is set: due at, and every so many, virtual seconds."""

    timer: str = ""
    due: float = 0.0
    period: float = 0.0


@dataclass(frozen=True, slots=True)
class QueuedDpc:
    """A DPC that is queued or runs."""

    dpc: str = ""
    routine: str = ""


@dataclass(frozen=True, slots=True)
class WorkItem:
    """A work item that is queued or runs."""

    item: str = ""
    routine: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class DriverInfo:
    """All that is known of a driver at one moment; ``print`` it for tables.

    The image's part (``size``, ``sha256``, ``imports``) comes from its file. ``told`` says whether
    the target tells the rest; where it does not, ``note`` says so. ``counts`` has how many rows
    of each kind there are: of very many, the lists have the first only.
    """

    name: str = ""
    state: str = ""
    error: str = ""
    size: int = 0
    sha256: str = ""
    imports: tuple[Import, ...] = ()
    told: bool = False
    note: str = ""
    time: float = 0.0
    loaded: bool = False
    base: str = ""
    image_size: int = 0
    devices: tuple[Device, ...] = ()
    links: tuple[SymbolicLink, ...] = ()
    handles: tuple[OpenHandle, ...] = ()
    pool: tuple[PoolTag, ...] = ()
    irps: tuple[Irp, ...] = ()
    threads: tuple[DriverThread, ...] = ()
    timers: tuple[DriverTimer, ...] = ()
    dpcs: tuple[QueuedDpc, ...] = ()
    work_items: tuple[WorkItem, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return as_text(self)


#: The lists that a target tells: the field, its rows' class, its heading.
LISTS: Final[Mapping[str, tuple[type[Any], str]]] = {
    "devices": (Device, "Devices"),
    "links": (SymbolicLink, "Symbolic links"),
    "handles": (OpenHandle, "Open handles"),
    "pool": (PoolTag, "Pool by tag"),
    "irps": (Irp, "IRPs"),
    "threads": (DriverThread, "Threads"),
    "timers": (DriverTimer, "Timers"),
    "dpcs": (QueuedDpc, "DPCs"),
    "work_items": (WorkItem, "Work items"),
}


@dataclass(frozen=True, slots=True)
class Image:
    """What a ``.sys`` file is: its size in bytes, its hash, its imports."""

    size: int = 0
    sha256: str = ""
    imports: tuple[Import, ...] = ()


def image_of(path: Path) -> Image:
    """What is known of a ``.sys`` file; empty where it cannot be read."""
    try:
        found = path.stat()
        return _image(path, found.st_size, found.st_mtime_ns)
    except OSError:
        return Image()


@lru_cache(maxsize=32)
def _image(path: Path, _size: int, _changed: int) -> Image:
    from ..exports import imports

    data = path.read_bytes()
    try:
        found = tuple(Import(*row) for row in imports(data))
    except LoadError:  # no driver: what loads it says so
        found = ()
    return Image(len(data), hashlib.sha256(data).hexdigest(), found)


def from_reply(reply: Mapping[str, Any], **known: Any) -> DriverInfo:
    """What a target has answered; fields of a wrong kind are left out."""
    values: dict[str, Any] = {"told": True, **known}
    for name in ("time", "loaded", "base", "image_size"):
        values |= _checked(DriverInfo, {name: reply.get(name)})
    for name, (cls, _) in LISTS.items():
        values[name] = _rows(cls, reply.get(name))
    counts = reply.get("counts")
    values["counts"] = {
        name: count
        for name, count in (counts.items() if isinstance(counts, dict) else ())
        if name in LISTS and isinstance(count, int)
    }
    return DriverInfo(**values)


def _rows(cls: type[Row], value: object) -> tuple[Row, ...]:
    rows = value if isinstance(value, list) else []
    return tuple(cls(**_checked(cls, row)) for row in rows if isinstance(row, dict))


def _checked(cls: type[Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of ``row`` that ``cls`` has, where they are of its type."""
    good: dict[str, Any] = {}
    for each in fields(cls):
        value, wanted = row.get(each.name), str(each.type)
        if each.name == "course":
            good["course"] = _course(value)
        elif wanted == "float" and isinstance(value, int | float):
            good[each.name] = float(value)
        elif type(value).__name__ == wanted:
            good[each.name] = value
    return good


def _course(value: object) -> tuple[tuple[float, int], ...]:
    return tuple(
        (float(point[0]), int(point[1]))
        for point in (value if isinstance(value, list) else ())
        if isinstance(point, list)
        and len(point) == 2
        and all(isinstance(number, int | float) for number in point)
    )


# -- as text --------------------------------------------------------------------------------------


def as_text(info: DriverInfo) -> str:
    """Tables for a terminal; what is empty is left out."""
    out = [f"{info.name}: {info.state}" + (f" ({info.error})" if info.error else "")]
    if info.sha256:
        out.append(f"image    {info.size:,} bytes, sha256 {info.sha256}")
    if info.base:
        out.append(f"loaded   at {info.base}, {info.image_size:,} bytes")
    if info.told:
        out.append(f"time     {info.time:.6f} s (virtual)")
    if info.note:
        out.append(info.note)
    by_module: dict[str, list[Import]] = {}
    for each in info.imports:
        by_module.setdefault(each.module, []).append(each)
    for module, names in by_module.items():
        known = sum(each.simulated for each in names)
        out.append(f"imports  {len(names)} of {module}, {known} of them simulated")
    for name, (cls, heading) in LISTS.items():
        rows: Sequence[Any] = getattr(info, name)
        if not rows:
            continue
        total = info.counts.get(name, len(rows))
        shown = f" (first {len(rows):,} of {total:,})" if total > len(rows) else ""
        columns = [each.name for each in fields(cls) if each.name != "course"]
        cells = [[_cell(getattr(row, column)) for column in columns] for row in rows]
        out += ["", f"{heading}{shown}", *text_table(columns, cells)]
    return "\n".join(out)


def _cell(value: object) -> str:
    from ..pane.text import one_line

    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return f"{value:.6f}"
    return f"{value:,}" if isinstance(value, int) else one_line(str(value))


def text_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table, columns padded."""
    lines = [[column.replace("_", " ") for column in columns], *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
