"""What Rust's own Windows library expects of a C library, for a driver that has none.

Only for toolchains with the Windows target installed; the sysroot that we build has these
routines in its compiler_builtins. Two tiny archives, linked last: the linker takes from them
what nothing else defines.
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Final

from ..errors import ToolchainError
from . import cache, process
from .toolchain import TARGET, Toolchain

_SOURCES: Final = ("memory", "unwind")


def ensure(toolchain: Toolchain, *, cancel: threading.Event | None = None) -> tuple[Path, ...]:
    """The archives to link with, compiled where they are missing; none for a sysroot of ours.

    Raises ToolchainError with the compiler's words, and BuildError for the cache folder.
    """
    if toolchain.sysroot is not None:
        return ()
    sources = {name: Path(__file__).with_name(f"{name}.rs") for name in _SOURCES}
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources.values()))
    place = cache.cache_root() / "support" / f"{toolchain.key}-{digest.hexdigest()[:8]}"
    if not place.is_dir():
        with cache.trouble(), cache.new_folder(place) as folder:
            for name, source in sources.items():
                _compile(toolchain, name, source, folder, cancel)
    return tuple(place / f"lib{name}.rlib" for name in _SOURCES)


def _compile(
    toolchain: Toolchain,
    name: str,
    source: Path,
    folder: Path,
    cancel: threading.Event | None,
) -> None:
    arguments: list[str | Path] = [
        toolchain.rustc,
        *("--crate-name", name, "--crate-type", "rlib", "--edition", "2024"),
        *("--target", TARGET, "-Copt-level=2", "-Cpanic=abort", "-Ccodegen-units=1"),
        *("--remap-path-prefix", f"{source.parent}=", "--out-dir", folder, source),
    ]
    answer = process.run(arguments, cwd=folder, cancel=cancel)
    if answer.returncode:
        last = "\n".join(answer.stderr.strip().splitlines()[-12:])
        raise ToolchainError(f"rustc {toolchain.version} cannot build {source.name}:\n{last}")
