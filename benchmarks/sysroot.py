"""What is done once: building core, alloc and compiler_builtins for the target."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

from .harness import Row


def sysroot_rows(_: int) -> list[Row]:
    """A first ``kernellab setup`` with an empty cache (the toolchain itself is there)."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "KERNELLAB_CACHE": folder}
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "kernellab.cli", "setup", "--quiet"],
            env=environment,
            check=True,
            capture_output=True,
        )
        return [Row("sysroot and framework, once", [time.perf_counter() - start], 60, "s")]
