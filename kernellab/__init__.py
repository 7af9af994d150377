"""kernellab: a kernel driver lab inside Jupyter.

In a notebook: ``%load_ext kernellab``, then cells that begin with ``%%rustdriver NAME``.
In Python: :func:`connect`. On a command line: ``kernellab --help``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .comparing.run import compare
    from .driver import DeviceHandle, Driver
    from .editing.disassembly import disassemble
    from .errors import (
        Bugcheck,
        BuildError,
        KernelLabError,
        LoadError,
        NtStatusError,
        TargetLost,
        TargetStopped,
        TargetTimeout,
        ToolchainError,
        Unsupported,
        UsageError,
    )
    from .lab import Target, connect
    from .view.watching import watch

__version__ = "0.1.0"

# Imported on first use: the simulator's process and `%load_ext` must start quickly.
_LAZY = {
    "Bugcheck": "errors",
    "BuildError": "errors",
    "DeviceHandle": "driver",
    "Driver": "driver",
    "KernelLabError": "errors",
    "LoadError": "errors",
    "NtStatusError": "errors",
    "Target": "lab",
    "TargetLost": "errors",
    "TargetStopped": "errors",
    "TargetTimeout": "errors",
    "ToolchainError": "errors",
    "Unsupported": "errors",
    "UsageError": "errors",
    "compare": "comparing.run",
    "connect": "lab",
    "watch": "view.watching",
    "disassemble": "editing.disassembly",
}

__all__ = [
    "Bugcheck",
    "BuildError",
    "DeviceHandle",
    "Driver",
    "KernelLabError",
    "LoadError",
    "NtStatusError",
    "Target",
    "TargetLost",
    "TargetStopped",
    "TargetTimeout",
    "ToolchainError",
    "Unsupported",
    "UsageError",
    "compare",
    "connect",
    "disassemble",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext kernellab``: add ``%%rustdriver``, and get ready in the background."""
    from .cell.magics import register
    from .workbench import workbench

    register(shell, workbench())
    workbench().warm()
