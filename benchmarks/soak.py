"""``python -m benchmarks soak --minutes 30 --target wine|winrm``: the same for long, and faults.

A cycle loads a driver, takes its lines, calls a device, unloads; now and then the driver is
rebuilt, and now and then something goes wrong. Each line that does not come has to be counted as
lost. ``winrm`` is the guest agent in Wine behind the tests' WinRM service.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

import kernellab
from kernellab.errors import Bugcheck, KernelLabError, TargetLost
from kernellab.sources import build_text
from tests.drivers import driver_source
from tests.winrm.server import WinRMServer

from .winrm import bench_machine

_DEVICE = Path(__file__).parents[1] / "tests" / "target" / "drivers" / "device.rs"
_LINES, _CALLS, _VARIANTS = 50, 10, 16
#: Cycles between two rebuilds, and between two faults; and before memory is looked at first.
_REBUILD, _FAULT, _WARM = 10, 25, 60


@dataclass
class Figures:
    """What has happened so far."""

    cycles: int = 0
    calls: int = 0
    rebuilds: int = 0
    reboots: int = 0
    lines: int = 0
    counted: int = 0
    missing: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        faults = ", ".join(f"{n} {name}" for name, n in sorted(self.faults.items())) or "none"
        errors = "; ".join(f"{n} x {text}" for text, n in self.errors.items()) or "none"
        return (
            f"{self.cycles} cycles, {self.calls} ioctls, {self.rebuilds} rebuilds, "
            f"{self.reboots} new sessions\n"
            f"{self.lines} lines; {self.counted} lost and counted; {self.missing} lost uncounted\n"
            f"faults made: {faults}\nerrors that no fault explains: {errors}"
        )


@dataclass(frozen=True)
class Use:
    """Memory (MiB), open files or handles, threads, processes: of this one and the machine's."""

    own: tuple[float, int, int]
    machine: tuple[float, int, int]

    def __str__(self) -> str:
        (memory, files, threads), (there, open_there, processes) = self.own, self.machine
        return (
            f"here {memory:.1f} MiB, {files} files, {threads} threads; "
            f"machine {there:.1f} MiB, {open_there} files, {processes} processes"
        )


def use() -> Use:
    """What is used now; the machine's processes are those of the Wine prefixes of ours."""
    me = psutil.Process()
    prefixes = {_prefix(child) for child in me.children(recursive=True)} - {""}
    memory, files, processes = 0.0, 0, 0
    for process in psutil.process_iter():
        if _prefix(process) in prefixes:
            with contextlib.suppress(psutil.Error, OSError):
                memory += process.memory_full_info().uss / 1024**2
                files += process.num_fds()
                processes += 1
    own = (me.memory_full_info().uss / 1024**2, me.num_fds(), me.num_threads())
    return Use(own, (memory, files, processes))


def _prefix(process: psutil.Process) -> str:
    try:
        return process.environ().get("WINEPREFIX", "")
    except (psutil.Error, OSError):
        return ""


Fault = Callable[[kernellab.Target], None]


def _crash(lab: kernellab.Target) -> None:
    """A driver that writes to address 8."""
    with contextlib.suppress(Bugcheck):
        lab.load(_crashing())
        raise AssertionError("a driver that crashes was loaded")


def _crashing() -> Path:
    return build_text("boom", driver_source("unsafe { *(8 as *mut u32) = 1; }")).sys


def _winrm_faults(server: WinRMServer) -> dict[str, Fault]:
    def network(how: str) -> Fault:
        def lose(lab: kernellab.Target) -> None:
            server.lose_network(how)
            threading.Timer(2.0, server.restore_network).start()

        return lose

    def shell(lab: kernellab.Target) -> None:
        server.shells.end(server.shells.ids()[0])
        with contextlib.suppress(TargetLost):
            lab.status()

    def restart(lab: kernellab.Target) -> None:
        server.reboot()
        with contextlib.suppress(TargetLost):
            lab.status()

    def lost_answers(lab: kernellab.Target) -> None:
        server.swallow = [0, 0]

    return {
        "network away": network("down"),
        "network silent": network("silent"),
        "crashed": _crash,
        "shell ended": shell,
        "answers lost": lost_answers,
        "restarted": restart,
    }


@contextlib.contextmanager
def _target(name: str) -> Iterator[tuple[kernellab.Target, dict[str, Fault]]]:
    if name == "wine":
        with kernellab.connect("wine") as lab:
            yield lab, {"crashed": _crash}
        return
    with bench_machine() as server, kernellab.connect("bench", arguments="--wine") as lab:
        yield lab, _winrm_faults(server)


def _variant(number: int) -> Path:
    body = f'for i in 0..{_LINES} {{ println!("{number} line {{i}}"); }}'
    return build_text("soak", driver_source(body)).sys


def _cycle(lab: kernellab.Target, image: Path, number: int, figures: Figures) -> None:
    """One driver from load to unload, and a device; counts what came and what did not."""
    device = build_text("shared", _DEVICE.read_text(encoding="utf-8")).sys
    driver, neighbour = lab.load(image), lab.load(device)
    with lab.open(r"\\.\Shared") as file:
        for _ in range(_CALLS):
            file.ioctl(0x222000, out_size=4)
            figures.calls += 1
    neighbour.unload()
    driver.unload()
    wanted = [*(f"{number} line {i}" for i in range(_LINES)), "bye"]
    end = time.monotonic() + 30  # what a lost connection swallowed is counted when that is noticed
    while len(driver.log) + driver.log.dropped < len(wanted) and time.monotonic() < end:
        time.sleep(0.01)
    lines = driver.log.lines
    figures.lines += len(lines)
    figures.counted += min(driver.log.dropped, len(wanted) - len(lines))
    figures.missing += max(0, len(wanted) - len(lines) - driver.log.dropped)
    strange = [line for line in lines if line not in wanted]
    if strange or sorted(lines, key=wanted.index) != lines:
        raise AssertionError(f"lines that nobody printed, or in another order: {strange[:3]}")


def run(target: str, minutes: float) -> bool:
    """Run and print; whether all went well."""
    figures, start = Figures(), time.monotonic()
    _crashing()
    with _target(target) as (lab, faults):
        names, image, number, before = list(faults), _variant(0), 0, use()
        told = start
        while time.monotonic() < start + 60 * minutes:
            figures.cycles += 1
            if figures.cycles % _REBUILD == 0:
                number = (number + 1) % _VARIANTS
                image = _variant(number)
                figures.rebuilds += 1
            try:
                if figures.cycles % _FAULT == 0:
                    name = names[figures.cycles // _FAULT % len(names)]
                    figures.faults[name] += 1
                    faults[name](lab)
                _cycle(lab, image, number, figures)
            except (KernelLabError, AssertionError) as error:
                figures.errors[f"{type(error).__name__}: {str(error)[:150]}"] += 1
            figures.reboots = lab.reboots
            for driver in [n for n, d in lab.drivers.items() if not d.loaded]:
                del lab.drivers[driver]
            if figures.cycles == _WARM:
                before = use()
            if time.monotonic() - told > 60:
                told = time.monotonic()
                passed = (told - start) / 60
                print(f"after {passed:.0f} min: {figures.cycles} cycles; {use()}", file=sys.stderr)
        after = use()
    minutes = (time.monotonic() - start) / 60
    print(f"{target}, {minutes:.1f} min: {figures}")
    print(f"after {_WARM} cycles: {before}\nat the end:      {after}")
    return not figures.errors and not figures.missing


def main(arguments: list[str]) -> int:
    """Exit code 1 where a line was lost without a count, or a call failed for no reason."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="for how long (30)")
    parser.add_argument("--target", choices=["wine", "winrm"], default="winrm", help="(winrm)")
    given = parser.parse_args(arguments)
    return 0 if run(given.target, given.minutes) else 1
