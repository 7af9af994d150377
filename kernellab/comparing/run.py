"""Build a driver once and run it on one target after the other."""

from __future__ import annotations

import contextlib
import io
import runpy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..crate import fit_name
from ..driver import Driver
from ..errors import (
    Bugcheck,
    KernelLabError,
    LoadError,
    NtStatusError,
    StillPending,
    TargetLost,
    TargetStopped,
    TargetTimeout,
    Unsupported,
    UsageError,
)
from ..lab import TIMEOUT, Target, connect
from ..pane.text import panic_text
from ..sources import build_path, build_path_tests
from ..target import registry
from ..testing import run_tests
from .outcome import Comparison, Side, Step

if TYPE_CHECKING:
    from ..crate import DriverTest
    from ..protocol import Frame
    from ..system import PlainValue

TARGETS: Final = ("sim", "wine")

#: Called with (done, total, text) while something takes long.
Progress = Callable[[int, int, str], object]
#: A script, or a function of the target and the driver whose value is compared.
Client = Path | Callable[[Target, Driver], object]


@dataclass(frozen=True, slots=True)
class Ioctl:
    """A device control request: the device's Win32 name, its code, input and output size."""

    device: str
    code: int
    data: bytes = b""
    out_size: int = 0

    def __str__(self) -> str:
        return f"ioctl {self.code:#x} on {self.device}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done on each target."""

    name: str
    image: Path
    timeout: float = TIMEOUT
    parameters: Mapping[str, PlainValue] | None = None
    ioctls: Sequence[Ioctl] = ()
    client: Client | None = None
    wait: float = 0.0
    tests: Sequence[DriverTest] | None = None


def compare(
    source: str | Path | Driver,
    targets: Sequence[str] = TARGETS,
    *,
    ioctls: Sequence[Ioctl] = (),
    client: Client | None = None,
    tests: bool = False,
    wait: float = 0.0,
    timeout: float = TIMEOUT,
    parameters: Mapping[str, PlainValue] | None = None,
    dependencies: Sequence[str] = (),
    release: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """Run one driver on several targets and compare its log and how each step ended.

    ``source`` is a ``.rs`` file, a crate folder, a ``.sys``, or a driver that was loaded before
    (its image). It is loaded, asked the ``ioctls``, used by ``client`` (a script that has
    ``target`` and ``driver``, or a function of the two), left alone for ``wait`` seconds of the
    target's time, and unloaded. With ``tests``, its ``#[test]`` functions run instead.
    ``timeout`` is how many seconds driver code may run at a time.

    Raises UsageError where fewer than two targets are named or one is not known, BuildError,
    and TargetLost where a target cannot be started.
    """
    if isinstance(targets, str):
        targets = [name.strip() for name in targets.split(",")]
    targets = list(dict.fromkeys(name for name in targets if name))
    if len(targets) < 2:
        named = f"{targets[0]} is one" if targets else "none is named"
        raise UsageError(f"to compare needs two targets or more ({named}), such as sim,wine")
    for name in targets:
        registry.get(name)
    if tests and (ioctls or client or wait):
        raise UsageError("the driver's own tests take no ioctls, client or wait beside them")
    plan = _planned(source, dependencies, release, tests, progress)
    plan = replace(
        plan, timeout=timeout, parameters=parameters, ioctls=ioctls, client=client, wait=wait
    )
    sides = []
    for done, target in enumerate(targets):
        if progress is not None:
            progress(done, len(targets), f"{plan.name} on {target}")
        sides.append(run_on(plan, target, progress))
    return Comparison(plan.name, tuple(sides))


def _planned(
    source: str | Path | Driver,
    dependencies: Sequence[str],
    release: bool,
    tests: bool,
    progress: Progress | None,
) -> Plan:
    if isinstance(source, Driver):
        if tests:
            raise UsageError("the tests of a driver are in its source: give the file or folder")
        return Plan(source.name, source.image)
    path = Path(source)
    if not path.exists():
        raise UsageError(f"there is no {path}")
    if path.suffix.lower() == ".sys" and path.is_file():
        if tests:
            raise UsageError("the tests of a driver are in its source: give the file or folder")
        return Plan(fit_name(path.stem), path)
    options = {"dependencies": dependencies, "release": release}
    if tests:
        result, found = build_path_tests(path, **options, progress=progress)  # type: ignore[arg-type]
        return Plan(result.name, result.sys, tests=found)
    result = build_path(path, **options, progress=progress)  # type: ignore[arg-type]
    return Plan(result.name, result.sys)


def run_on(plan: Plan, target: str, progress: Progress | None = None) -> Side:
    """One target's side. Raises TargetLost and what else says that it could not run at all."""
    with connect(target, timeout=plan.timeout) as machine:
        driver = machine.prepare(plan.image, name=plan.name)
        driver.parameters = dict(plan.parameters or {})
        printed = io.StringIO()
        if plan.tests is not None:
            steps = _tests(driver, plan, progress)
        else:
            steps = list(_life(machine, driver, plan, printed))
        notes = [f"verifier: {each.rule}: {each.message}" for each in machine.violations]
        log, said = tuple(driver.log.lines), tuple(printed.getvalue().splitlines())
        return Side(target, tuple(steps), log, said, tuple(dict.fromkeys(notes)))


def _tests(driver: Driver, plan: Plan, progress: Progress | None) -> list[Step]:
    report = run_tests(driver, plan.tests or (), timeout=plan.timeout, progress=progress)
    return [Step(f"test {each.name}", each.outcome, each.message) for each in report.results]


def _life(machine: Target, driver: Driver, plan: Plan, printed: io.StringIO) -> list[Step]:
    steps: list[Step] = []

    def do(what: str, action: Callable[[], object]) -> bool:
        steps.append(_step(what, action, driver))
        return not machine.stopped and machine._session.lost is None

    def load() -> str:
        machine.run(driver, timeout=plan.timeout)
        return "STATUS_SUCCESS"

    if not do("load", load) or not driver.loaded:
        return steps
    for number, ioctl in enumerate(plan.ioctls):
        if not do(f"{number + 1}. {ioctl}", lambda ioctl=ioctl: _ask(machine, ioctl)):  # type: ignore[misc]
            return steps
    if plan.client is not None:
        client = plan.client
        if not do("client", lambda: _serve(client, machine, driver, printed)):
            return steps
    if plan.wait and not do("wait", lambda: machine.sleep(plan.wait, timeout=plan.wait + 10)):
        return steps

    def unload() -> str:
        driver.unload(close_handles=True, timeout=plan.timeout)
        return driver.state

    if driver.loaded:
        do("unload", unload)
    return steps


def _ask(machine: Target, ioctl: Ioctl) -> str:
    with machine.open(ioctl.device) as device:
        reply = device.ioctl(ioctl.code, ioctl.data, ioctl.out_size)
    return f"{len(reply)} bytes: {reply.hex(' ')}" if reply else "no bytes"


def _serve(client: Client, machine: Target, driver: Driver, printed: io.StringIO) -> object:
    with contextlib.redirect_stdout(printed):
        if not isinstance(client, Path):
            return repr(client(machine, driver))
        given = {"target": machine, "driver": driver}
        runpy.run_path(str(client), init_globals=given, run_name="__main__")
    return "done"


def _step(what: str, action: Callable[[], object], driver: Driver) -> Step:
    try:
        return Step(what, str(action() or "done"))
    except TargetStopped as error:
        return Step(what, "the machine has stopped", str(error))
    except (TargetLost, UsageError) as error:
        if what == "client" and isinstance(error, UsageError):
            return Step(what, f"UsageError: {error}")
        raise
    except KernelLabError as error:
        return Step(what, result_of(error, driver.log.lines), str(error))
    except SystemExit as error:
        return Step(what, f"exit {error.code or 0}")
    except Exception as error:  # the user's client can fail in any way
        return Step(what, f"{type(error).__name__}: {error}")


def result_of(error: KernelLabError, log: Sequence[str] = ()) -> str:
    """How a step ended, in words that are the same on each target that does the same."""
    if isinstance(error, Bugcheck):
        where = _place(error.frames)
        said = panic_text(log[-8:])
        if said and (place := said.split()[2].split(":"))[1:]:
            where = f" at {place[0]}:{place[1]}"
        return f"bug check {error.code:#x} {error.name}{where}"
    if isinstance(error, TargetTimeout):
        return f"timed out{_place(error.frames)}"
    if isinstance(error, NtStatusError):
        return error.name
    if isinstance(error, LoadError):
        lacks = f": it lacks {', '.join(error.missing)}" if error.missing else ""
        return f"not loaded{lacks}"
    if isinstance(error, StillPending):
        return "still pending"
    if isinstance(error, Unsupported):
        return "this target cannot do that"
    return f"{type(error).__name__}: {error}"


def _place(frames: Sequence[Frame]) -> str:
    """The innermost line of the user's own code: files of libraries have folders."""
    known = [frame for frame in frames if frame.file and frame.line]
    own = [frame for frame in known if "/" not in frame.file and "\\" not in frame.file]
    frame = next(iter(own or known), None)
    return f" at {frame.file}:{frame.line}" if frame is not None else ""
