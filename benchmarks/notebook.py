"""What a notebook's user waits for, in a real IPython kernel."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

from kernellab.build import find_toolchain
from kernellab.build.workspace import environment
from kernellab.crate import write_crate, write_plain

from .harness import HELLO, Row, evaluate, execute, jupyter_kernel


def notebook_rows(runs: int) -> list[Row]:
    """Edit to first line beside bare cargo, unchanged cell, ``%load_ext``."""
    loads = [_load_ext() for _ in range(min(runs, 5))]
    ours, ours_all, cargo, same = _edits(runs)
    ratio = [a / b for a, b in zip(ours, cargo, strict=True)]
    return [
        Row("edited hello cell: Shift-Enter to first DbgPrint line", ours, 0.6, "s"),
        Row("  the same edit with bare `cargo build`, for comparison", cargo, None, "s"),
        Row("  ratio of the two, side by side", ratio, 1.5, "x"),
        Row("edited hello cell: Shift-Enter to prompt back", ours_all, 0.7, "s"),
        Row("the same cell unchanged, run again: to prompt back", same, 0.15, "s"),
        Row("%load_ext kernellab in a fresh kernel", loads, 0.3, "s"),
    ]


def _load_ext() -> float:
    with jupyter_kernel() as client:
        start, end = execute(client, "%load_ext kernellab")
        return end - start


def _edits(runs: int) -> tuple[list[float], list[float], list[float], list[float]]:
    first_line, prompt, cargo, same = [], [], [], []
    with tempfile.TemporaryDirectory() as folder, jupyter_kernel() as client:
        root = Path(folder)
        execute(client, "%load_ext kernellab")
        time.sleep(2)  # the user reads the cell; kernellab warms up meanwhile
        command, variables = _bare_cargo(root, 0)
        for run in range(-1, runs):
            # Numbers that no earlier benchmark has built, so that nothing comes from the cache.
            source = HELLO.replace("NUMBER", f"{time.time_ns()}")
            cell = f"%%rustdriver hello\n{source}"
            sent, done = execute(client, cell)
            seen = float(evaluate(client, "hello.first_line_at"))
            (root / "src" / "lib.rs").write_text("#![no_std]\n" + source, encoding="utf-8")
            start = time.perf_counter()
            subprocess.run(command, cwd=root, env=variables, check=True, capture_output=True)
            bare = time.perf_counter() - start
            again_start, again_end = execute(client, cell)
            if run >= 0:  # the first one warms both sides up
                first_line.append(seen - sent)
                prompt.append(done - sent)
                cargo.append(bare)
                same.append(again_end - again_start)
    return first_line, prompt, cargo, same


def _bare_cargo(root: Path, number: int) -> tuple[list[str], dict[str, str]]:
    """The crate of the same cell on disk, and the command that builds it without kernellab."""
    write_plain(write_crate("hello", "\n" + HELLO.replace("NUMBER", str(number))), root)
    toolchain = find_toolchain()
    command = [str(toolchain.cargo), "build", "--lib", "--quiet", "--offline"]
    return command, environment(root, toolchain)
