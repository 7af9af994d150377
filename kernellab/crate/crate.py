"""Rust source becomes a crate: a manifest around it, and not one of its lines moved.

The crate is its workspace's root package and its source lies in the root under its own name
(``cell``, or the ``.rs`` file's), because rustc puts the path that Cargo gives it, relative to
the workspace, into messages, ``file!()`` and debug information.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import tomli_w

from ..errors import UsageError
from .dependencies import Dependency
from .names import validate_module, validate_name
from .rust_source import Impl, crate_attributes, crates_named, impl_blocks, words
from .template import DRIVER, FRAMEWORK, Template, load_template, member_path

#: What a notebook cell's source is called in messages and frames.
CELL: Final = "cell"

_NO_STD: Final = "#![no_std]"
#: Links the framework (its panic handler and allocator) where the source never names it; where
#: it has a panic handler of its own, the bindings, which bring what the compiler calls.
#: Either comes after the source's end, where it moves no line.
_FRAMEWORK: Final = "\nextern crate windows_kernel_rs as _;\n"
_BINDINGS: Final = "\nextern crate windows_kernel_sys as _;\n"


@dataclass(frozen=True, slots=True)
class Crate:
    """A driver's crate, ready for building.

    ``files`` are its own files (relative path, text): ``Cargo.toml`` and the source under
    ``file_name``, with its modules; the framework's come from ``template``. ``supplied`` is
    how many characters were put before the source's line 1. ``key`` is the SHA-256 of everything
    here, the template included, in hexadecimal.
    """

    name: str
    file_name: str
    dependencies: Mapping[str, Dependency]
    template: Template = field(repr=False)
    files: Mapping[str, str] = field(repr=False)
    supplied: int
    key: str

    def impls(self) -> dict[str, Sequence[Impl]]:
        """The ``impl`` blocks of each of its Rust files; reads all of them."""
        return {
            path: impl_blocks(text)
            for path, text in self.files.items()
            if path == self.file_name or path.endswith(".rs")
        }


def write_crate(
    name: str,
    source: str,
    *,
    file_name: str = CELL,
    dependencies: Mapping[str, Dependency] | None = None,
    modules: Mapping[str, str] | None = None,
    template: Path | None = None,
) -> Crate:
    """Make the crate of the driver ``name`` from ``source``.

    Line N of the source is line N of the written file: for a cell, pass the text with the
    magic's own line blanked. ``#![no_std]`` is put at the front of line 1 where the source
    does not have it. ``dependencies`` are registry crates (see :mod:`.dependencies`);
    ``modules`` further files of the driver: text by path, such as ``wire/frame.rs``. A crate
    that the framework can work with (``zerocopy``) is a dependency where the source names it, and
    only there: other drivers need no registry. ``template`` replaces the package's template.

    Raises UsageError for a name, file name or dependency that cannot be used, and BuildError
    when the template is damaged.
    """
    validate_name(name)
    _validate_file_name(file_name)
    source = source.removeprefix("\ufeff")
    modules = {validate_module(path): text for path, text in (modules or {}).items()}
    for path, text in {"the source": source, **modules}.items():
        _check_text(path, text)
    sources = [source, *(text for path, text in modules.items() if path.endswith(".rs"))]
    loaded = load_template(template)
    named = set(dependencies or {})
    for text in sources:
        if any(crate in text for crate in loaded.optional):  # few do, and reading takes a while
            named |= crates_named(text)
    loaded = loaded.select(named)
    dependencies = {
        **{crate: _plain(loaded.optional[crate]) for crate in loaded.features},
        **(dependencies or {}),
    }
    before = "" if "no_std" in crate_attributes(source) else _NO_STD
    linked = _BINDINGS if _use(sources, "panic_handler") else _FRAMEWORK
    after = "" if _use(sources, "windows_kernel_rs") else linked
    manifest = tomli_w.dumps(_manifest(name, file_name, dependencies, loaded))
    files = {"Cargo.toml": manifest, file_name: f"{before}{source}{after}", **modules}
    key = hashlib.sha256(json.dumps([loaded.digest, name, files]).encode()).hexdigest()
    return Crate(name, file_name, dependencies, loaded, files, len(before), key)


def _use(sources: Sequence[str], word: str) -> bool:
    return any(word in text and word in words(text) for text in sources)


def _check_text(where: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise UsageError(f"line {line} of {where} has a character that is not text") from None


def sample_crate(template: Path | None = None) -> Crate:
    """The template's own driver as a crate: what a set-up builds to have the framework ready."""
    return write_crate("sample", sample_source(template), file_name="lib.rs", template=template)


def sample_source(template: Path | None = None) -> str:
    """The source of the template's own driver."""
    root = load_template(template).root
    return (root / DRIVER / "src" / "lib.rs").read_text(encoding="utf-8")


def _validate_file_name(file_name: str) -> None:
    plain = file_name == CELL or file_name.endswith(".rs")
    bad = set('/\\:*?"<>|\0') & set(file_name)
    if not plain or bad or not file_name.isprintable() or len(file_name) > 200:
        raise UsageError(f"{file_name[:80]!r} cannot be the source's name: use NAME.rs")


def _plain(spec: Mapping[str, Any]) -> Dependency:
    version = spec["version"]
    return str(version) if len(spec) == 1 else dict(spec)


def _manifest(
    name: str, file_name: str, dependencies: Mapping[str, Dependency], template: Template
) -> dict[str, Any]:
    driver, workspace = template.driver, template.manifest
    package = driver["package"]
    edition = package.get("edition", "2024")
    if isinstance(edition, Mapping):
        edition = workspace["workspace"]["package"]["edition"]
    own: dict[str, Any] = {}
    for crate, spec in driver.get("dependencies", {}).items():
        path = member_path(template.root, DRIVER, crate, spec, workspace)
        own[crate] = spec if path is None or "path" not in spec else {**spec, "path": path}
        if path == FRAMEWORK and template.features:
            own[crate] = {**own[crate], "features": list(template.features)}
    for crate in dependencies:
        if crate in own or crate == name:
            raise UsageError(f"a dependency cannot be called {crate!r} here: the name is taken")
    profiles = {key: dict(value) for key, value in workspace.get("profile", {}).items()}
    for profile in ("dev", "release"):
        # A driver cannot unwind: nothing in the kernel would catch it.
        profiles.setdefault(profile, {})["panic"] = "abort"
    return {
        "package": {
            "name": name,
            "version": "0.0.0",
            "edition": edition,
            "publish": False,
            "build": False,
            "autobins": False,
            "autoexamples": False,
            "autotests": False,
            "autobenches": False,
        },
        "lib": {
            "path": file_name,
            "crate-type": ["cdylib"],
            "test": False,
            "doctest": False,
            "bench": False,
        },
        "dependencies": {**own, **dependencies},
        **({"lints": driver["lints"]} if "lints" in driver else {}),
        "workspace": {
            **{k: v for k, v in workspace.get("workspace", {}).items() if k != "default-members"},
            "members": list(template.members),
            "exclude": [],
        },
        "profile": profiles,
    }
