"""``kernellab run``: one driver, from load to unload, printed as text or as JSON lines."""

from __future__ import annotations

import contextlib
import json
import runpy
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import Bugcheck, KernelLabError, TargetLost, TargetStopped, TargetTimeout
from .lab import Target, connect
from .pane.text import LAST_LINES, bugcheck_text, printable, violation_text
from .protocol import BugcheckEvent, DbgPrint, ErrorEvent, Event, State, Violation, event_fields
from .target import steps
from .target.steps import Progress
from .verifier import without

if TYPE_CHECKING:
    from .crate import DriverTest
    from .testing import TestReport

VIOLATIONS, CLIENT_FAILED = 5, 8


class Printer:
    """Prints events as they come: the log to standard output, the rest to standard error."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._out = sys.stdout  # a client's own prints are kept out of the JSON lines
        self._lock = threading.Lock()
        self._seq = 0
        self._last: list[str] = []

    def __call__(self, events: Sequence[Event]) -> None:
        with self._lock:
            for event in events:
                if isinstance(event, ErrorEvent) and event.error == "timeout":
                    continue  # it is also the error that ends the run: see error()
                self._seq = max(self._seq, event.seq)
                if self._as_json:
                    print(json.dumps(event_fields(event)), file=self._out)
                else:
                    self._print_text(event)
            self._out.flush()

    def error(self, kind: str, message: str) -> None:
        """An error that the client found: in JSON it is an event as well."""
        if not self._as_json:
            print(f"error: {message}", file=sys.stderr)
            return
        with self._lock:
            self._seq += 1
            event = ErrorEvent(seq=self._seq, error=kind, message=message)
            print(json.dumps(event_fields(event)), file=self._out, flush=True)

    def _print_text(self, event: Event) -> None:
        if isinstance(event, DbgPrint):
            self._out.write(printable(event.text))
            self._last += [line for line in event.text.splitlines() if line]
            del self._last[:-LAST_LINES]
        elif isinstance(event, BugcheckEvent):
            # On a terminal they stand right above.
            log = [] if self._out.isatty() else self._last
            print(bugcheck_text(event, log=log), file=sys.stderr)
        elif isinstance(event, Violation):
            print(violation_text(event), file=sys.stderr)
        elif isinstance(event, ErrorEvent):
            print(f"error: {printable(event.message)}", file=sys.stderr)
        elif isinstance(event, State) and event.state == "rebooted":
            print(f"the machine was rebooted ({event.status})", file=sys.stderr)


def run_driver(
    image: Path,
    *,
    name: str | None,
    target: str,
    timeout: float,
    budget: int | None,
    as_json: bool,
    client: Path | None,
    unload: bool,
    build_seconds: float = 0.0,
    no_verify: Sequence[str] = (),
    parameters: Sequence[tuple[str, int | str]] = (),
    trace: Path | None = None,
    fresh: bool = False,
    waiting: Callable[[], contextlib.AbstractContextManager[Progress | None]] = (
        contextlib.nullcontext
    ),
) -> int:
    """Load ``image``, run the client script, unload; returns the exit code.

    ``fresh``: on a machine as it was in its snapshot. ``waiting`` hears what connecting does.
    ``trace`` is where what ran is written to, also where the run ends by an error.
    """
    printer = Printer(as_json)
    try:
        with waiting() as progress, steps.told_to(progress):
            connected = connect(target, timeout=timeout, fresh=fresh)
        with connected as machine, _traced(machine, trace):
            machine.subscribe(printer)
            verifier = without(no_verify) if no_verify else None
            driver = machine.prepare(image, name=name, verifier=verifier)
            driver.parameters = dict(parameters)
            machine.run(driver, timeout=timeout, budget=budget)
            driver.timings["build"] = build_seconds
            if client is not None and not _run_client(client, machine, driver, printer, as_json):
                return CLIENT_FAILED
            if unload:
                driver.unload(close_handles=True, timeout=timeout)
            if machine.violations:
                return VIOLATIONS
    except KernelLabError as error:
        if not isinstance(error, Bugcheck):  # a bug check has had its own event
            printer.error(_kind(error), str(error))
        return error.exit_code
    return 0


@contextlib.contextmanager
def _traced(machine: Target, path: Path | None) -> Iterator[None]:
    if path is None:
        yield
        return
    recorded = machine.start_trace()
    try:
        yield
    finally:
        if recorded.recording:
            machine.stop_trace()
        recorded.save(path)


def test_driver(
    image: Path,
    tests: Sequence[DriverTest],
    *,
    target: str,
    timeout: float,
    budget: int | None,
    no_verify: Sequence[str] = (),
    parameters: Sequence[tuple[str, int | str]] = (),
    fresh: bool = False,
    progress: Progress | None = None,
) -> TestReport:
    """Run the tests of a driver that was built for them on a machine of their own."""
    from .testing import run_tests

    with steps.told_to(progress):
        connected = connect(target, timeout=timeout, fresh=fresh)
    with connected as machine:
        verifier = without(no_verify) if no_verify else None
        driver = machine.prepare(image, verifier=verifier)
        driver.parameters = dict(parameters)
        return run_tests(driver, tests, timeout=timeout, budget=budget, progress=progress)


def _run_client(
    client: Path, target: Target, driver: object, printer: Printer, as_json: bool
) -> bool:
    out = sys.stderr if as_json else sys.stdout
    try:
        with contextlib.redirect_stdout(out):
            runpy.run_path(
                str(client), init_globals={"target": target, "driver": driver}, run_name="__main__"
            )
    except (Bugcheck, TargetTimeout, TargetLost, TargetStopped):
        raise
    except SystemExit as error:
        return not error.code
    except Exception as error:  # the user's script can fail in any way
        traceback.print_exc()
        printer.error("client", f"{client.name}: {type(error).__name__}: {error}")
        return False
    return True


def _kind(error: KernelLabError) -> str:
    """``LoadError`` is ``load``, ``TargetLost`` is ``target-lost``, … in JSON."""
    kinds = {
        "LoadError": "load",
        "NtStatusError": "ntstatus",
        "TargetTimeout": "timeout",
        "TargetLost": "target-lost",
        "TargetStopped": "stopped",
        "Unsupported": "unsupported",
        "UsageError": "usage",
        "BuildError": "build",
    }
    return kinds.get(type(error).__name__, "error")
