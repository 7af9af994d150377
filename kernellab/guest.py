"""The guest agent's program, for the targets that need it: built here, from the template."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .build import agent, cache
from .crate.template import template_root
from .deploy import image_for
from .sources import build_text

if TYPE_CHECKING:
    from .build.cache import Progress
    from .target.base import TargetKind


def agent_program(progress: Progress | None = None) -> Path:
    """``agent.exe``, built where it is not there yet. Raises ToolchainError and BuildError."""
    return agent.build(template_root(), progress=progress)


def capture_driver(progress: Progress | None = None) -> Path:
    """``dbgtap.sys``, the driver that hears what others print, built where it is not there yet.

    Raises ToolchainError and BuildError.
    """
    folder = template_root() / "dbgtap" / "src"
    files = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.rs")}
    source = files.pop("lib.rs")
    result = build_text(
        "dbgtap", source, file_name="lib.rs", modules=files, release=True, progress=progress
    )
    return result.sys


def prepare(
    kind: TargetKind, options: Mapping[str, Any], progress: Progress | None = None
) -> dict[str, Any]:
    """What a target that wants the agent gets, made once; nothing for the others.

    Of a target whose ``options`` name another ``program``, that is what it runs. Raises what
    building and signing do.
    """
    if not kind.wants_agent or "program" in options:
        return {}
    folder = cache.cache_root()
    kind.prepare(folder, progress)
    made: dict[str, Any] = {"agent": agent_program(progress), "folder": folder}
    if kind.wants_capture:
        made["capture"] = image_for(kind, capture_driver(progress))
    return made


def setup_wine(progress: Progress | None = None) -> None:
    """Install Wine where it is missing, and make the machine that sessions are cloned from.

    Raises TargetLost with what to do where that is not possible.
    """
    from .target import registry
    from .target.wine import installed

    if progress is not None:
        progress(0, 0, "looking for Wine")
    installed.install()
    prepare(registry.get("wine"), {}, progress)
