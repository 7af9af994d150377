"""From a crate to a driver: toolchain, sysroot, Cargo, messages, image, symbols.

Names are looked up late: a notebook imports this package before it builds anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cargo import build, build_folder, chosen_versions, expand, warm
    from .diagnostics import Diagnostic, Suggestion
    from .doctor import Check, diagnose
    from .install import setup
    from .project import copied_folder
    from .store import BuildResult
    from .toolchain import Toolchain, find_toolchain

__all__ = [
    "BuildResult",
    "Check",
    "Diagnostic",
    "Suggestion",
    "Toolchain",
    "build",
    "build_folder",
    "chosen_versions",
    "copied_folder",
    "diagnose",
    "expand",
    "find_toolchain",
    "setup",
    "warm",
]

_HOMES = {
    "BuildResult": "store",
    "Check": "doctor",
    "Diagnostic": "diagnostics",
    "Suggestion": "diagnostics",
    "Toolchain": "toolchain",
    "build": "cargo",
    "build_folder": "cargo",
    "chosen_versions": "cargo",
    "copied_folder": "project",
    "diagnose": "doctor",
    "expand": "cargo",
    "find_toolchain": "toolchain",
    "setup": "install",
    "warm": "cargo",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
