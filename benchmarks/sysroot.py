"""What is done once, with an empty cache: the core library for Windows, the framework."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

from kernellab.build.toolchain import Toolchain, candidates, find_toolchain

from .harness import Row


def sysroot_rows(_: int) -> list[Row]:
    """A first ``kernellab setup`` with each way to the core library (the compiler is there)."""
    usual = find_toolchain()
    rows = [Row(f"first set-up: {_way(usual)}", [_setup({})], 60, "s")]
    if usual.sysroot is None:
        # Here nothing had to be built. Is there a compiler that has only the library's source?
        source = next((c for c in candidates() if c.source is not None and not c.objection), None)
        if source is None:
            rows.append(Row("first set-up: sysroot (no compiler here needs one)", [], 60, "s"))
        else:
            seconds = _setup({"KERNELLAB_RUSTC": str(source.rustc)})
            rows.append(Row(f"first set-up: sysroot of {source.version}", [seconds], 60, "s"))
    return rows


def _way(toolchain: Toolchain) -> str:
    if toolchain.sysroot is None:
        return "framework only, the target is installed"
    return f"sysroot of {toolchain.version} and framework"


def _setup(variables: dict[str, str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "kernellab.cli", "setup", "--quiet"],
            env={**os.environ, "KERNELLAB_CACHE": folder, **variables},
            check=True,
            capture_output=True,
        )
        return time.perf_counter() - start
