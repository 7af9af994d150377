"""Windows' own numbers: struct layouts, NTSTATUS names, bug check names, constants.

The JSON beside this file is generated from the Rust bindings (``rust-template/tools/bindgen``),
so that the simulator and the drivers it loads agree by construction. Layouts are those of
x86-64, in bytes. Each file is read when something in it is first asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

__all__ = [
    "Field",
    "Layout",
    "bugcheck_code",
    "bugcheck_name",
    "constant",
    "constants",
    "layout",
    "nt_success",
    "status_code",
    "status_name",
]


@dataclass(frozen=True, slots=True)
class Field:
    """One member of a struct.

    ``type`` is written as in Rust (``u32``, ``*mut MDL``, ``[u8; 4]``, ``fn`` for a function
    pointer, the name of a struct), with simple aliases resolved; ``{}`` for an unnamed struct
    or union, whose members are fields of the outer struct under dotted names.
    """

    offset: int
    size: int
    type: str


@dataclass(frozen=True, slots=True)
class Layout:
    """A struct as x86-64 Windows lays it out.

    Members of unnamed structs and unions inside it are in :attr:`fields` under dotted names,
    ``Parameters.DeviceIoControl.IoControlCode``.
    """

    name: str
    size: int
    align: int
    fields: Mapping[str, Field]

    def field(self, path: str) -> Field:
        """The member at ``path``, through named structs too (``IoStatus.Information``).

        The offset is from the start of this struct. ``KeyError`` where there is none.
        """
        found = self.fields.get(path)
        if found is not None:
            return found
        head = path
        while "." in head:
            head = head.rpartition(".")[0]
            outer = self.fields.get(head)
            if outer is not None:
                if outer.type not in _layouts()["structs"]:
                    break
                inner = layout(outer.type).field(path[len(head) + 1 :])
                return Field(outer.offset + inner.offset, inner.size, inner.type)
        raise KeyError(f"{self.name} has no field {path}")

    def offset(self, path: str) -> int:
        """The offset of :meth:`field` in bytes."""
        return self.field(path).offset


@cache
def _load(name: str) -> dict[str, Any]:
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    value: dict[str, Any] = json.loads(text)
    return value


def _layouts() -> dict[str, Any]:
    return _load("layouts.json")


def _resolve(kind: str) -> str:
    aliases = _layouts()["aliases"]
    for _ in range(8):
        target = aliases.get(kind)
        if target is None:
            break
        kind = target
    return kind


@cache
def layout(struct: str) -> Layout:
    """The layout of a struct or union by its WDK name; ``KeyError`` where it is not known."""
    data = _layouts()
    entry = data["structs"].get(_resolve(struct))
    if entry is None:
        raise KeyError(f"no layout of {struct}")
    fields = {
        name: Field(offset, size, _resolve(kind))
        for name, (offset, size, kind) in entry["fields"].items()
    }
    return Layout(struct, entry["size"], entry["align"], fields)


@cache
def _names(file: str) -> dict[int, str]:
    names: dict[int, str] = {}
    for name, code in _load(file).items():
        names.setdefault(code, name)
    return names


def status_name(code: int) -> str:
    """``STATUS_…`` of an NTSTATUS (signed or unsigned), or its number as ``0xC0000123``."""
    code &= 0xFFFFFFFF
    return _names("ntstatus.json").get(code) or f"0x{code:08X}"


def status_code(name: str) -> int:
    """The NTSTATUS called ``name`` as an unsigned 32-bit number; ``KeyError`` if unknown."""
    return int(_load("ntstatus.json")[name])


def nt_success(code: int) -> bool:
    """What the WDK's ``NT_SUCCESS`` says: true for success and information."""
    return code & 0x80000000 == 0


def bugcheck_name(code: int) -> str:
    """The name of a bug check code, or the number as ``0x123``."""
    return _names("bugchecks.json").get(code & 0xFFFFFFFF) or f"0x{code & 0xFFFFFFFF:X}"


def bugcheck_code(name: str) -> int:
    """The bug check code called ``name``; ``KeyError`` if unknown."""
    return int(_load("bugchecks.json")[name])


def constant(name: str) -> int:
    """A constant of the headers by name, ``IRP_MJ_READ``; ``KeyError`` if unknown."""
    return int(_load("constants.json")[name])


def constants(prefix: str) -> dict[str, int]:
    """All constants whose names begin with ``prefix``, ``IRP_MJ_``."""
    return {k: v for k, v in _load("constants.json").items() if k.startswith(prefix)}
