"""Which crates of the registry a driver is built with, and where their sources lie."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BuildError, ToolchainError
from . import cache, process, workspace
from .toolchain import TARGET, find_toolchain
from .workspace import CrateLike


@dataclass(frozen=True, slots=True)
class CratePackage:
    """A crate that a driver is built with: its name in Rust, root file, edition and features.

    ``dependencies`` are the names that its source has for others, to their ``identity``.
    """

    identity: str
    name: str
    root: Path
    edition: str
    features: Sequence[str]
    dependencies: Mapping[str, str]


def packages(crate: CrateLike) -> list[CratePackage]:
    """The crate itself, first, and all that it depends on, as Cargo chose them.

    Asks no network: what was not downloaded yet (by a build) is an error. Raises BuildError and
    ToolchainError.
    """
    toolchain = find_toolchain()
    place = workspace.place_for(crate, toolchain)
    with cache.locked(workspace.lock_of(place), progress=None, what=crate.name):
        with cache.trouble():
            place.mkdir(parents=True, exist_ok=True)
            workspace.prepare(place, crate)
        try:
            answer = process.run(
                [toolchain.cargo, "metadata", "--format-version=1", "--offline", "--quiet",
                 f"--filter-platform={TARGET}"],
                cwd=place,
                env=workspace.environment(place, toolchain),
                timeout=10,  # another cargo may hold its lock, and builds wait for ours
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ToolchainError(f"cannot run {toolchain.cargo}: {error}") from error
    if answer.returncode:
        raise BuildError(f"{crate.name}: {answer.stderr.strip()}")
    return list(_packages(json.loads(answer.stdout), crate.name))


def _packages(answer: Mapping[str, Any], name: str) -> list[CratePackage]:
    known = {package["id"]: package for package in answer["packages"]}
    found = []
    for node in answer["resolve"]["nodes"]:
        package = known[node["id"]]
        library = next((t for t in package["targets"] if _is_library(t)), None)
        if library is None:
            continue
        found.append(
            CratePackage(
                node["id"],
                str(library["name"]).replace("-", "_"),
                Path(library["src_path"]),
                str(library["edition"]),
                tuple(node["features"]),
                {each["name"]: each["pkg"] for each in node["deps"] if _is_normal(each)},
            )
        )
    found.sort(key=lambda each: known[each.identity]["name"] != name)
    return found


def _is_library(target: Mapping[str, Any]) -> bool:
    return bool({"lib", "rlib", "cdylib"} & set(target["kind"]))


def _is_normal(dependency: Mapping[str, Any]) -> bool:
    return any(kind.get("kind") is None for kind in dependency["dep_kinds"])
