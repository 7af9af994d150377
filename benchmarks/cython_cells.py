"""Cells of Rust beside cells of Cython and of plain Python: an edited line, and a null pointer.

In turn, in one run; Cython has an IPython kernel and an environment of its own, which is made when
it is first asked for. Where it cannot be had, or there is no C compiler, a row says so.
"""

from __future__ import annotations

import queue
import time
from typing import Any

from . import peers
from .harness import HELLO, Row, evaluate, execute, jupyter_kernel

_CYTHON = """\
%%cython
import time
print("hello number NUMBER from {}".format("the kernel"))
seen_at = time.perf_counter()
"""
_PYTHON = """\
import time
print("hello number NUMBER from {}".format("the kernel"))
seen_at = time.perf_counter()
"""
_RUST_NULL = "%%rustdriver null --allow-failure\n" + HELLO.replace(
    'println!("hello number NUMBER from {}", "the kernel");',
    'println!("{}", unsafe { core::ptr::null::<u32>().read_volatile() });',
)
_CYTHON_NULL = """\
%%cython
cdef int *nowhere = NULL
print(nowhere[0])
"""


def cython_rows(runs: int) -> list[Row]:
    """Edit to output, and whether the notebook's variables outlive a null pointer."""
    try:
        cython = peers.python_with(*peers.CYTHON)
        with jupyter_kernel(cython) as theirs, jupyter_kernel() as ours:
            rust, c, plain = _edits(ours, theirs, runs)
            kept = _outlives(ours, _RUST_NULL)
            kept_there = _outlives(theirs, _CYTHON_NULL)
    except (peers.PeerMissing, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or ["no reason given"])[-1]
        return [Row(f"cells of Cython beside cells of Rust: {reason}", [], None, "s")]
    return [
        Row("edited cell of Rust: Shift-Enter to its first line", rust, 0.6, "s"),
        Row("  the same in %%cython", c, None, "s"),
        Row("  the same in Python", plain, None, "s"),
        Row("after a null pointer in Rust: variables kept (1: yes)", [kept], 1, "", smaller=False),
        Row("  the same in %%cython", [kept_there], None, ""),
    ]


def _edits(ours: Any, theirs: Any, runs: int) -> tuple[list[float], list[float], list[float]]:
    rust, c, plain = [], [], []
    execute(ours, "%load_ext kernellab")
    execute(theirs, "%load_ext cython")
    time.sleep(2)  # kernellab warms up while its user reads
    for run in range(-1, runs):
        # Numbers that nobody has built yet, so that nothing comes from a cache.
        number = f"{time.time_ns()}"
        sent, _ = execute(ours, "%%rustdriver hello\n" + HELLO.replace("NUMBER", number))
        first = float(evaluate(ours, "hello.first_line_at")) - sent
        in_c = _seen(theirs, _CYTHON.replace("NUMBER", number))
        in_python = _seen(ours, _PYTHON.replace("NUMBER", number))
        if run >= 0:  # the first one warms all sides up
            rust.append(first)
            c.append(in_c)
            plain.append(in_python)
    return rust, c, plain


def _seen(client: Any, cell: str) -> float:
    """Seconds from Shift-Enter until the cell has printed."""
    sent, _ = execute(client, cell)
    return float(evaluate(client, "seen_at")) - sent


def _outlives(client: Any, cell: str) -> float:
    """1.0 where a variable is still there after ``cell``, 0.0 where the kernel died of it."""
    execute(client, "kept = 'kept'")
    client.execute(cell)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if not client.parent.is_alive():
            return 0.0
        try:
            client.get_shell_msg(timeout=0.5)
            return float(evaluate(client, "kept") == "'kept'")
        except queue.Empty:
            continue
    raise RuntimeError("the kernel neither answered nor ended")
