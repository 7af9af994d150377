"""The simulator as its client sees it: start, printing, memory."""

from __future__ import annotations

import time
from collections.abc import Sequence

import psutil

import kernellab
from kernellab.protocol import DbgPrint, Event
from kernellab.sources import build_text
from kernellab.target import registry

from .harness import HELLO, Row

LINES = 200_000

PRINTING = HELLO.replace(
    'println!("hello number NUMBER from {}", "the kernel");',
    f'for n in 0..{LINES}u32 {{ println!("line number {{n}} of the benchmark"); }}',
)


def simulator_rows(runs: int) -> list[Row]:
    """Start to ready, lines a second, resident memory while printing."""
    _start()  # the first one compiles the modules
    starts = [_start() for _ in range(runs)]
    speeds, memory = _print_lines(min(runs, 5))
    return [
        Row("sim endpoint: start to ready", starts, 0.3, "s"),
        Row("println! lines, sim to Python log", speeds, 20_000, "/s", smaller=False),
        Row("memory of the sim process after printing 200,000 lines", memory, 150, "MB"),
    ]


def _start() -> float:
    registry.get("sim").cool()
    start = time.perf_counter()
    with kernellab.connect("sim"):
        return time.perf_counter() - start


def _print_lines(runs: int) -> tuple[list[float], list[float]]:
    result = build_text("printing", PRINTING)
    speeds, memory = [], []
    for _ in range(runs):
        with kernellab.connect("sim", timeout=120) as target:
            seen = 0
            last = 0.0

            def count(events: Sequence[Event]) -> None:
                nonlocal seen, last
                seen += sum(isinstance(e, DbgPrint) for e in events)
                last = time.perf_counter()

            target.subscribe(count)
            start = time.perf_counter()
            driver = target.load(result.sys)
            speeds.append(seen / (last - start))
            if seen != LINES or len(driver.log) != LINES:
                raise RuntimeError(f"{seen} of {LINES} lines arrived")
            pids = [c for c in psutil.Process().children() if "kernellab.target.sim" in c.cmdline()]
            memory.append(max(p.memory_info().rss for p in pids) / 1e6)
            driver.unload()
    return speeds, memory
