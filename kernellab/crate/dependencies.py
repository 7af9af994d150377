"""Registry crates that a driver uses: named on the magic's line, or at the top of the cell.

On the magic's line (or ``kernellab build``'s)::

    --dep bitflags=2
    --dep "heapless=0.8,features=mpmc_large+portable-atomic"
    --dep "serde=1,default-features=false,features=derive"

In the cell, the front matter of Cargo's own single-file packages (The Cargo Book, "Unstable
features: script"), before any code::

    ---
    [dependencies]
    bitflags = "2"
    ---

Versions are Cargo's (``2`` means 2.x; ``=2.4.1`` exactly that).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final

from ..errors import UsageError

#: A dependency as Cargo.toml has it: a version, or a table with one.
Dependency = str | Mapping[str, Any]

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
_VERSION: Final = re.compile(r"[0-9A-Za-z.+^~=<>*, -]{1,64}", re.ASCII)
_FEATURE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_+.:/?-]{0,63}", re.ASCII)
_FENCE: Final = re.compile(r"(---+)[ \t]*(cargo)?[ \t]*\r?")
_KEYS: Final = ("version", "features", "default-features", "package")
_FORM: Final = "NAME=VERSION, then ',features=A+B' and ',default-features=false' where needed"


def parse_dependency(text: str) -> tuple[str, Dependency]:
    """What ``--dep`` gives: ``NAME=VERSION[,features=A+B][,default-features=false]``.

    Returns the name, and the version or the table. Raises UsageError saying what is allowed.
    """
    first, *rest = text.strip().split(",")
    name, equals, version = first.partition("=")
    name = name.strip()
    table: dict[str, Any] = {"version": version.strip().strip("\"'")}
    if not equals:
        raise UsageError(f"--dep {text!r} has no version: {_FORM}")
    for part in rest:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if key == "features" and equals:
            table["features"] = [each for each in value.split("+") if each]
        elif key == "default-features" and value in ("true", "false"):
            table["default-features"] = value == "true"
        else:
            raise UsageError(f"--dep {text!r}: {part.strip()!r} is not understood: {_FORM}")
    _check(name, table)
    return name, table["version"] if len(table) == 1 else table


def split_dependencies(source: str) -> tuple[str, dict[str, Dependency]]:
    """Take the front matter off ``source``; its lines stay, empty, so that no line moves.

    Returns the source and the dependencies by name. Raises UsageError for front matter that
    is not closed, is not TOML, or has anything but ``[dependencies]`` with versions.
    """
    lines = source.split("\n")
    start = next((i for i, line in enumerate(lines) if line.strip().lstrip("\ufeff")), len(lines))
    opening = _FENCE.fullmatch(lines[start].lstrip("\ufeff")) if start < len(lines) else None
    if opening is None:
        return source, {}
    end = next((i for i in range(start + 1, len(lines)) if lines[i].rstrip() == opening[1]), None)
    if end is None:
        raise UsageError(f"line {start + 1}: the front matter is not closed by {opening[1]!r}")
    try:
        table = tomllib.loads("\n".join(line.rstrip("\r") for line in lines[start + 1 : end]))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the front matter (line {start + 1}) is not TOML: {error}") from None
    others = sorted(set(table) - {"dependencies"})
    if others or not isinstance(table.get("dependencies", {}), dict):
        raise UsageError(
            f"the front matter may have [dependencies] only, not {', '.join(others) or 'a value'}"
        )
    found: dict[str, Dependency] = {}
    for name, value in table.get("dependencies", {}).items():
        entry = {"version": value} if isinstance(value, str) else value
        if not isinstance(entry, dict):
            raise UsageError(f"dependency {name!r} is neither a version nor a table")
        _check(name, entry)
        found[name] = value
    blank = ["\r" if line.endswith("\r") else "" for line in lines[start : end + 1]]
    return "\n".join([*lines[:start], *blank, *lines[end + 1 :]]), found


def _check(name: str, table: Mapping[str, Any]) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be a crate's name")
    if name.replace("-", "_") in ("windows_kernel_rs", "windows_kernel_sys"):
        raise UsageError(f"{name} is there already: it needs no version")
    for key in table:
        if key not in _KEYS:
            raise UsageError(
                f"dependency {name!r}: {key!r} is not allowed, only {', '.join(_KEYS)}"
            )
    version = table.get("version")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise UsageError(f'dependency {name!r} needs a version, such as {name} = "1"')
    features = table.get("features", [])
    if not isinstance(features, list) or not all(
        isinstance(each, str) and _FEATURE.fullmatch(each) for each in features
    ):
        raise UsageError(f"dependency {name!r}: features are a list of names")
    if not isinstance(table.get("default-features", True), bool):
        raise UsageError(f"dependency {name!r}: default-features is true or false")
    package = table.get("package", name)
    if not isinstance(package, str) or not _NAME.fullmatch(package):
        raise UsageError(f"dependency {name!r}: {package!r} cannot be a crate's name")
