"""The crates that rust-analyzer is told of: the framework, and what the cells name besides."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import KernelLabError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from ..cell.rust_cell import RustCell
    from .analyzer import Analyzer, Description


class Crates:
    """What is known now; it grows with what cells name.

    ``library`` is the standard library's source, ``home`` the toolchain's folder, where there is
    one.
    """

    def __init__(self, library: Path | None, home: Path | None) -> None:
        self._library, self._home = library, home
        self._lock = threading.Lock()
        self._wanted: dict[str, Any] = {}  # crates of the registry that are known now
        self._optional: Mapping[str, Mapping[str, Any]] = {}  # those the framework works with
        self._widening = threading.Lock()

    def describe(self, wanted: Mapping[str, Any]) -> Description:
        """The framework, and with ``wanted`` crates of the registry what they need as well."""
        from ..build import CratePackage, packages
        from ..build.cache import cache_root
        from ..crate import load_template, write_crate
        from .analyzer import Description, Package

        template = load_template()
        self._optional = template.optional
        sources = {name.replace("-", "_"): template.root / name for name in template.members}
        known: list[CratePackage] = []
        if wanted:
            known = packages(write_crate("editing", "", dependencies=wanted))[1:]
        found = [
            Package(
                each.identity,
                each.name,
                sources[each.name] / "src" / "lib.rs" if each.name in sources else each.root,
                each.edition,
                tuple(each.features),
                dict(each.dependencies),
            )
            for each in known
        ] or [
            Package(name, name, root / "src" / "lib.rs", dependencies=_needs(template, name))
            for name, root in sources.items()
        ]
        direct = {each.name: each.identity for each in found if each.name in sources}
        direct |= {
            each.name: each.identity
            for each in found
            if each.name in {name.replace("-", "_") for name in wanted}
        }
        return Description(
            cache_root() / "editing", found, direct, library=self._library, home=self._home
        )

    def widen(self, cell: RustCell, analyzer: Analyzer) -> None:
        """Have the crates known that the cell names; in the background, where they are new."""
        from ..crate import parse_dependency, split_dependencies

        try:
            _, wanted = split_dependencies(cell.text)
            wanted = {**wanted, **dict(parse_dependency(each) for each in cell.dependencies)}
        except UsageError:
            return  # it is not finished yet
        for name, spec in self._optional.items():
            if name not in wanted and re.search(rf"\b{name}\b\s*(?:::|;)", cell.text):
                wanted[name] = dict(spec)
        with self._lock:
            if wanted.items() <= self._wanted.items():
                return
            everything = {**self._wanted, **wanted}
            self._wanted = everything

        def widen() -> None:
            with self._widening:
                try:
                    analyzer.change(self.describe(everything))
                except KernelLabError:
                    with self._lock:  # not downloaded yet: a build will; the next look tries again
                        for name in wanted:
                            self._wanted.pop(name, None)

        threading.Thread(target=widen, name="kernellab-crates", daemon=True).start()


def _needs(template: Any, name: str) -> dict[str, str]:
    """What the framework's own crate ``name`` depends on within the framework."""
    import tomllib

    members = {each.replace("-", "_"): each for each in template.members}
    path: Path = template.root / members[name] / "Cargo.toml"
    manifest = tomllib.loads(path.read_text(encoding="utf-8"))
    wanted = {each.replace("-", "_") for each in manifest.get("dependencies", {})}
    return {each: each for each in members if each in wanted}
