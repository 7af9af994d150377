"""From a crate to a driver: toolchain, sysroot, Cargo, messages, image, symbols.

Names are looked up late: a notebook imports this package before it builds anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .analyzer import AnalyzerTools, describe_analyzer, find_analyzer, setup_analyzer
    from .cargo import build, build_folder, chosen_versions, expand, warm
    from .checking import check
    from .diagnostics import Diagnostic, Suggestion
    from .doctor import Check, diagnose
    from .install import setup
    from .metadata import CratePackage, packages
    from .project import copied_folder
    from .store import BuildResult
    from .toolchain import Toolchain, find_toolchain

__all__ = [
    "AnalyzerTools",
    "BuildResult",
    "Check",
    "CratePackage",
    "Diagnostic",
    "Suggestion",
    "Toolchain",
    "build",
    "build_folder",
    "check",
    "chosen_versions",
    "copied_folder",
    "describe_analyzer",
    "diagnose",
    "expand",
    "find_analyzer",
    "find_toolchain",
    "packages",
    "setup",
    "setup_analyzer",
    "warm",
]

_HOMES = {
    "AnalyzerTools": "analyzer",
    "BuildResult": "store",
    "Check": "doctor",
    "CratePackage": "metadata",
    "Diagnostic": "diagnostics",
    "Suggestion": "diagnostics",
    "Toolchain": "toolchain",
    "build": "cargo",
    "build_folder": "cargo",
    "check": "checking",
    "chosen_versions": "cargo",
    "copied_folder": "project",
    "describe_analyzer": "analyzer",
    "diagnose": "doctor",
    "expand": "cargo",
    "find_analyzer": "analyzer",
    "find_toolchain": "toolchain",
    "packages": "metadata",
    "setup": "install",
    "setup_analyzer": "analyzer",
    "warm": "cargo",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
