"""A crate of the user's own: where it is, what it is called, what it needs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import UsageError
from . import cache

#: A file's name without a folder.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Project:
    """A crate's folder as Cargo sees it.

    ``workspace`` is the folder that rustc's paths are relative to; ``source`` the library's
    root file and ``shown`` what messages call it; ``remapped`` the beginnings of paths and
    what stands for them in messages and symbols; ``dependencies`` the names of its registry crates.
    """

    name: str
    folder: Path
    workspace: Path
    source: Path
    shown: str
    remapped: tuple[tuple[str, str], ...]
    dependencies: tuple[str, ...]

    def texts(self) -> dict[str, str]:
        """Its Rust files by the names that messages have for them; not those that are no text."""
        root, found = self.source.parent, {}
        for path in sorted(root.rglob("*.rs")):
            name = self.shown if path == self.source else path.relative_to(root).as_posix()
            with contextlib.suppress(OSError, UnicodeDecodeError):
                found[name] = path.read_text(encoding="utf-8")
        return found


@contextlib.contextmanager
def copied_folder(folder: Path) -> Iterator[Project]:
    """A copy of the crate in ``folder`` to be changed: the same one each time, and kept in step.

    It lies in the cache folder, so that what Cargo has compiled for it is found again. Only a
    crate that is its own workspace can be copied. Raises UsageError where it cannot be a driver.
    """
    project = open_project(folder)
    if project.workspace != project.folder:
        raise UsageError(f"{folder} is part of a workspace: its tests cannot be run from here")
    name = hashlib.sha256(str(project.folder).encode()).hexdigest()[:16]
    place = cache.cache_root() / "tests" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    with cache.locked(
        place.with_name(f"{name}.lock"), progress=None, what=project.name, cancel=None
    ):
        with cache.trouble():
            cache.remove(place)
            shutil.copytree(
                project.folder, place, ignore=shutil.ignore_patterns("target", ".git", ".cargo")
            )
        yield open_project(place)


def open_project(folder: Path) -> Project:
    """Look at the crate in ``folder``; raises UsageError where it cannot be a driver."""
    folder = folder.resolve()
    manifest = _manifest(folder)
    package = manifest.get("package")
    if not isinstance(package, dict) or not isinstance(package.get("name"), str):
        raise UsageError(f"{folder} is not one crate (its Cargo.toml has no [package])")
    library = manifest.get("lib", {})
    if "cdylib" not in library.get("crate-type", library.get("crate_type", [])):
        raise UsageError(
            f'{folder} cannot be a driver: its Cargo.toml needs [lib] crate-type = ["cdylib"]'
        )
    source = folder / library.get("path", "src/lib.rs")
    workspace = _workspace(folder, manifest)
    below = source.parent.relative_to(workspace)
    prefix = "" if below == Path() else f"{below}{os.sep}"
    remapped = [(str(workspace), "")]
    if prefix:
        remapped.append((prefix, ""))
    shown = _shown(package) or source.name
    if shown != source.name:
        remapped.append((f"{prefix}{source.name}", shown))
    found = [
        name
        for key in ("dependencies", "build-dependencies")
        for name, spec in manifest.get(key, {}).items()
        if not isinstance(spec, Mapping) or "path" not in spec
    ]
    return Project(
        name=package["name"],
        folder=folder,
        workspace=workspace,
        source=source,
        shown=shown,
        remapped=tuple(remapped),
        dependencies=tuple(found),
    )


def _shown(package: Mapping[str, Any]) -> str:
    """What the crate itself says that its source is called: one from a notebook does."""
    table = package.get("metadata", {})
    table = table.get("kernellab", {}) if isinstance(table, Mapping) else {}
    shown = table.get("source", "") if isinstance(table, Mapping) else ""
    return shown if isinstance(shown, str) and _PLAIN.fullmatch(shown) else ""


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "Cargo.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{folder} is not a crate: it has no Cargo.toml") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from None


def _workspace(folder: Path, manifest: Mapping[str, Any]) -> Path:
    """The workspace that the crate is a member of, else its own folder (as Cargo looks)."""
    if "workspace" in manifest:
        return folder
    for parent in folder.parents:
        path = parent / "Cargo.toml"
        if not path.is_file():
            continue
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8")).get("workspace")
        except (OSError, ValueError):
            continue
        if table is not None:
            excluded = [(parent / each).resolve() for each in table.get("exclude", [])]
            return folder if folder in excluded else parent
    return folder
