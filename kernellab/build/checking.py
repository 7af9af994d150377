"""Have the compiler check a crate: its messages, without building anything of it."""

from __future__ import annotations

import threading

from ..errors import BuildError
from . import cache, process, sysroot, workspace
from .cache import Progress
from .cargo import run_for
from .diagnostics import Diagnostic
from .toolchain import Toolchain, find_toolchain
from .workspace import CrateLike


def check(
    crate: CrateLike,
    *,
    download: bool = True,
    toolchain: Toolchain | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> list[Diagnostic]:
    """What the compiler says of ``crate``, errors and warnings; costs about 0.2 s.

    Its dependencies are downloaded where ``download`` is set. What only the linker finds, a
    missing entry point for instance, is not among it. The first check after a new toolchain
    compiles the framework's interface (some seconds).

    Raises BuildError where Cargo cannot do its work or ``cancel`` was set, and ToolchainError.
    """
    toolchain = toolchain or find_toolchain()
    try:
        return _check(crate, download, toolchain, progress, cancel)
    except process.Cancelled:
        raise BuildError(f"the check of {crate.name} was stopped") from None


def _check(
    crate: CrateLike,
    download: bool,
    toolchain: Toolchain,
    progress: Progress | None,
    cancel: threading.Event | None,
) -> list[Diagnostic]:
    sysroot.ensure(toolchain, progress=progress, cancel=cancel)
    place = workspace.place_for(crate, toolchain)
    lock = workspace.lock_of(place)
    with cache.locked(lock, progress=progress, what=crate.name, cancel=cancel):
        run = run_for(crate, False, toolchain, progress, cancel)
        with cache.trouble():
            workspace.prepare(place, crate)
        return run.check(download=download)
