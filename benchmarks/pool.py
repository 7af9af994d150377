"""Pool in the simulator: what an allocation costs while few and while many others are live."""

from __future__ import annotations

import time
from collections.abc import Sequence

import psutil

import kernellab
from kernellab.protocol import DbgPrint, Event
from kernellab.sources import build_text

from .harness import HELLO, Row

PAIRS = 10_000
FEW, MANY = 100, 10_000

_BODY = """
        unsafe {
            for live in [FEWusize, MANY] {
                for n in COUNT..live {
                    let p = ExAllocatePool2(64, 64, 0x31676154);
                    assert!(!p.is_null());
                    LIVE[n] = p;
                }
                COUNT = live;
                println!("start {live}");
                for _ in 0..PAIRS { ExFreePool(ExAllocatePool2(64, 64, 0x31676154)); }
                println!("end {live}");
            }
        }
"""
_EXTRA = """
use windows_kernel_rs::sys::{ExAllocatePool2, ExFreePool};
static mut LIVE: [*mut core::ffi::c_void; MANY] = [core::ptr::null_mut(); MANY];
static mut COUNT: usize = 0;
"""
_FREE = "unsafe { for n in 0..COUNT { ExFreePool(LIVE[n]); } }"


def pool_rows(runs: int) -> list[Row]:
    """An allocation and its free, with few and with many live ones; resident memory with many."""
    source = HELLO.replace('println!("hello number NUMBER from {}", "the kernel");', _BODY).replace(
        'println!("bye");', _FREE
    )
    for name, value in (("FEW", FEW), ("MANY", MANY), ("PAIRS", PAIRS)):
        source, extra = source.replace(name, str(value)), _EXTRA.replace("MANY", str(MANY))
    result = build_text("poolbench", source + extra)
    few: list[float] = []
    many: list[float] = []
    memory: list[float] = []
    for _ in range(min(runs, 5)):
        with kernellab.connect("sim", timeout=120) as target:
            times: dict[str, float] = {}

            def note(events: Sequence[Event], times: dict[str, float] = times) -> None:
                now = time.perf_counter()
                times.update({e.text.strip(): now for e in events if isinstance(e, DbgPrint)})

            target.subscribe(note)
            driver = target.load(result.sys)
            for live, found in ((FEW, few), (MANY, many)):
                found.append((times[f"end {live}"] - times[f"start {live}"]) / PAIRS * 1e6)
            pids = [c for c in psutil.Process().children() if "kernellab.target.sim" in c.cmdline()]
            memory.append(max(p.memory_info().rss for p in pids) / 1e6)
            driver.unload()
    growth = [after / before for before, after in zip(few, many, strict=True)]
    return [
        Row(f"pool: allocate and free, {FEW} live", few, 100, "us"),
        Row(f"pool: allocate and free, {MANY:,} live", many, 100, "us"),
        Row(f"pool: {MANY:,} live against {FEW}", growth, 1.2, "x"),
        Row(f"memory of the sim process with {MANY:,} live allocations", memory, 200, "MB"),
    ]
