"""The Cargo workspace that a driver's crate is made from: ``rust-template/``.

A crate made from it is the root package of a workspace of its own, with the framework's
crates as members below it. Everything in it is named relative to that root, so neither
compiler messages nor the built image know where it lies.
"""

from __future__ import annotations

import hashlib
import threading
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import tomli_w

from ..errors import BuildError

#: The crate of the template that a cell takes the place of.
DRIVER: Final = "driver"

#: The framework, which has a feature for each registry crate that it can work with.
FRAMEWORK: Final = "windows-kernel-rs"

#: What a member needs for being built as a dependency; tests and their crates are left out.
_MEMBER_TABLES: Final = "package lib features dependencies build-dependencies target lints".split()
_MEMBER_FOLDERS: Final = ("src", "build", "include")


def template_root() -> Path:
    """The template's folder: in the package when installed, else the checkout's.

    Raises BuildError when it is in neither place (the installation is damaged).
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_template", package.parent / "rust-template"):
        if (folder / "Cargo.toml").is_file():
            return folder
    raise BuildError(
        "kernellab's Rust template is missing from the installation: install kernellab again"
    )


@dataclass(frozen=True, slots=True)
class Template:
    """The template as read from disk.

    ``digest`` is the SHA-256 of all that goes into a build, in hexadecimal; ``manifest`` the
    workspace's Cargo.toml and ``driver`` the template crate's, parsed; ``members`` the
    framework's folders that a driver depends on; ``lock`` the text of Cargo.lock.

    ``optional`` has the registry crates that the framework can work with, by name, as its
    ``Cargo.toml`` has them, and ``features`` those of them that are wanted. The others are left
    out of what :meth:`files` gives: Cargo asks the registry even about those that are not used.
    """

    root: Path
    digest: str
    manifest: Mapping[str, Any] = field(repr=False)
    driver: Mapping[str, Any] = field(repr=False)
    members: tuple[str, ...]
    lock: str = field(repr=False)
    optional: Mapping[str, Mapping[str, Any]] = field(repr=False)
    features: tuple[str, ...] = ()

    def select(self, names: Iterable[str]) -> Template:
        """This template with the ``optional`` crates among ``names``."""
        features = tuple(sorted(self.optional.keys() & set(names)))
        if not features:
            return self
        digest = hashlib.sha256(" ".join([self.digest, *features]).encode()).hexdigest()
        return replace(self, digest=digest, features=features)

    def files(self) -> Iterator[tuple[str, bytes]]:
        """The framework's files: path relative to the workspace, with ``/``, and content."""
        for member in self.members:
            folder = self.root / member
            manifest = tomllib.loads((folder / "Cargo.toml").read_text(encoding="utf-8"))
            kept = {key: manifest[key] for key in _MEMBER_TABLES if key in manifest}
            self._leave_out(kept)
            yield f"{member}/Cargo.toml", tomli_w.dumps(kept).encode()
            for path in _sources(folder):
                yield f"{member}/{path.relative_to(folder).as_posix()}", path.read_bytes()

    def _leave_out(self, manifest: dict[str, Any]) -> None:
        """Take the optional crates that are not wanted out; their features stay, and do nothing."""
        unwanted = {
            crate
            for crate, spec in manifest.get("dependencies", {}).items()
            if _is_optional(spec) and crate not in self.features
        }
        if unwanted:
            dependencies = manifest["dependencies"]
            manifest["dependencies"] = {
                crate: spec for crate, spec in dependencies.items() if crate not in unwanted
            }
            features = manifest.get("features", {})
            manifest["features"] = {
                name: [each for each in parts if each.removeprefix("dep:") not in unwanted]
                for name, parts in features.items()
            }


def _is_optional(spec: object) -> bool:
    return isinstance(spec, Mapping) and spec.get("optional") is True


def _sources(folder: Path) -> list[Path]:
    found = [p for p in folder.glob("*.rs") if p.is_file()]
    for name in _MEMBER_FOLDERS:
        found.extend(p for p in (folder / name).rglob("*") if p.is_file())
    return sorted(found)


_lock: Final = threading.Lock()
_read: Final[dict[Path, tuple[object, Template]]] = {}


def load_template(root: Path | None = None) -> Template:
    """Read the template at ``root`` (the package's own unless given).

    Costs a look at each file's time and size when nothing changed. Raises BuildError when a
    file is missing or is not TOML.
    """
    root = root or template_root()
    try:
        signature = _signature(root)
        with _lock:
            known = _read.get(root)
            if known is None or known[0] != signature:
                known = (signature, _load(root))
                _read[root] = known
            return known[1]
    except (OSError, KeyError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BuildError(f"kernellab's Rust template cannot be read: {error}") from error


def _signature(root: Path) -> object:
    found = []
    for path in (root / "Cargo.toml", root / "Cargo.lock"):
        if path.exists():
            found.append((path.name, path.stat().st_mtime_ns, path.stat().st_size))
    for folder in sorted(p for p in root.iterdir() if (p / "Cargo.toml").is_file()):
        for path in [folder / "Cargo.toml", *_sources(folder)]:
            stat = path.stat()
            found.append((str(path), stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def _load(root: Path) -> Template:
    manifest = tomllib.loads((root / "Cargo.toml").read_text(encoding="utf-8"))
    driver = tomllib.loads((root / DRIVER / "Cargo.toml").read_text(encoding="utf-8"))
    lock_file = root / "Cargo.lock"
    lock = lock_file.read_text(encoding="utf-8") if lock_file.is_file() else ""
    members = tuple(sorted(_path_dependencies(root, DRIVER, manifest) - {DRIVER}))
    optional = _optional(root, members)
    template = Template(root, "", manifest, driver, members, lock, optional)
    digest = hashlib.sha256()
    parts: list[tuple[str, bytes]] = [
        ("Cargo.toml", (root / "Cargo.toml").read_bytes()),
        ("Cargo.lock", lock.encode()),
        (f"{DRIVER}/Cargo.toml", (root / DRIVER / "Cargo.toml").read_bytes()),
        *replace(template, features=tuple(optional)).files(),
    ]
    for name, content in parts:
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return replace(template, digest=digest.hexdigest())


def _optional(root: Path, members: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What the members can work with, as a crate that uses it itself would name it."""
    found: dict[str, dict[str, Any]] = {}
    for member in members:
        manifest = tomllib.loads((root / member / "Cargo.toml").read_text(encoding="utf-8"))
        for crate, spec in manifest.get("dependencies", {}).items():
            if _is_optional(spec):
                found[crate] = {key: spec[key] for key in spec if key != "optional"}
    return found


def _path_dependencies(root: Path, member: str, workspace: Mapping[str, Any]) -> set[str]:
    """``member`` and every folder of the template that it depends on."""
    found: set[str] = set()
    waiting = [member]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        manifest = tomllib.loads((root / name / "Cargo.toml").read_text(encoding="utf-8"))
        for kind in ("dependencies", "build-dependencies"):
            for crate, spec in manifest.get(kind, {}).items():
                path = member_path(root, name, crate, spec, workspace)
                if path is not None:
                    waiting.append(path)
    return found


def member_path(
    root: Path, member: str, crate: str, spec: object, workspace: Mapping[str, Any]
) -> str | None:
    """The template's folder that ``member``'s dependency ``spec`` names, if it names one."""
    if not isinstance(spec, Mapping):
        return None
    base = root / member
    if spec.get("workspace") is True:
        base = root
        spec = workspace.get("workspace", {}).get("dependencies", {}).get(crate, {})
        if not isinstance(spec, Mapping):
            return None
    path = spec.get("path")
    if not isinstance(path, str):
        return None
    return Path(base / path).resolve().relative_to(root.resolve()).as_posix()
