"""From a crate to a driver: toolchain, sysroot, Cargo, messages, image, symbols."""

from .cargo import build, warm
from .diagnostics import Diagnostic, Suggestion
from .store import BuildResult
from .toolchain import Toolchain, find_toolchain

__all__ = [
    "BuildResult",
    "Diagnostic",
    "Suggestion",
    "Toolchain",
    "build",
    "find_toolchain",
    "warm",
]
