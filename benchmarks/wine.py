"""The wine target: how long a driver takes, and that many of them cost what one does."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

import kernellab
from kernellab.build import cache
from kernellab.errors import TargetLost
from kernellab.sources import build_text
from kernellab.target.wine import installed

from .harness import HELLO, Row

_CYCLES = 1000

_DEVICE = Path(__file__).parents[1] / "tests" / "target" / "drivers" / "device.rs"


def wine_rows(runs: int) -> list[Row]:
    """Load to first line, ioctl, start, and a thousand cycles; nothing where Wine is not here."""
    try:
        installed.find()
    except TargetLost:
        return []
    hello = build_text("hello", HELLO.replace("NUMBER", "1")).sys
    device = build_text("shared", _DEVICE.read_text(encoding="utf-8")).sys
    first, starts, calls = [], [], []
    for _ in range(runs):
        start = time.perf_counter()
        with kernellab.connect("wine") as target:
            starts.append(time.perf_counter() - start)
            driver = target.load(hello)
            driver.unload()
            driver.reload()  # warm
            first.append(driver.timings["first_line"])
            driver.unload()
            target.load(device)
            with target.open(r"\\.\Shared") as file:
                for _ in range(20):
                    begin = time.perf_counter()
                    file.ioctl(0x222000, out_size=4)
                    calls.append((time.perf_counter() - begin) * 1000)
    grown, processes, handles = _cycles(hello)
    return [
        Row("wine, warm: build done to first DbgPrint line", first, 0.3, "s"),
        Row("wine: connect()", starts, 1.5, "s"),
        Row("wine: ioctl round trip", calls, 10.0, "ms"),
        Row(f"wine: memory grown in {_CYCLES} load/unload cycles", [grown], 8.0, "MiB"),
        Row("  processes more after them", [processes], 0.0, ""),
        # Wine's own service manager keeps a thread more or less: a leak would be a thousand.
        Row("  open files more after them", [handles], 40.0, ""),
    ]


def _cycles(image: Path) -> tuple[float, float, float]:
    with kernellab.connect("wine") as target:
        driver = target.load(image)
        driver.unload()
        for _ in range(200):  # until Wine's own services have started, and caches are full
            driver.reload()
            driver.unload()
        before = _use()
        for _ in range(_CYCLES):
            driver.reload()
            driver.unload()
        after = _use()
    memory, processes, files = (b - a for a, b in zip(before, after, strict=True))
    return memory, processes, files


def _use() -> tuple[float, float, float]:
    """Memory (MiB) of Wine's processes of our sessions, how many they are, their open files."""
    folder = str(cache.cache_root() / "wine")
    memory = processes = files = 0.0
    for process in psutil.process_iter():
        try:
            if process.environ().get("WINEPREFIX", "").startswith(folder):
                memory += process.memory_full_info().uss / 1024**2
                files += process.num_fds()
                processes += 1
        except (psutil.Error, OSError):
            continue
    return memory, processes, files
