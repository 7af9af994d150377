"""``%%rustdriver --test`` and ``kernellab test``: a driver's ``#[test]`` functions, one a load.

Each case runs in a driver that is loaded for it alone, so that what it leaves behind (pool,
devices, threads) is found when it is unloaded and belongs to it. A panic or a bug check ends the
machine: the next case has a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Final, Literal

from .errors import Bugcheck, NtStatusError, TargetTimeout
from .pane.standalone import not_empty
from .pane.text import one_line, own_frame, panic_text

if TYPE_CHECKING:
    from .crate import DriverTest
    from .driver import Driver

Outcome = Literal["passed", "failed", "ignored"]

#: The value that names the case, in the driver's Parameters key.
_VALUE: Final = "KernellabTest"
_MARKS: Final = {"passed": "✓", "failed": "✗", "ignored": "–"}
_COLOURS: Final = {"passed": "#2e7d32", "failed": "#c62828", "ignored": "#757575"}


@dataclass(frozen=True, slots=True)
class TestResult:
    """How one test came out: ``passed``, ``failed`` or ``ignored``, and why.

    ``message`` is one line; ``log`` what the test printed.
    """

    __test__ = False  # it is not a test of this project's

    name: str
    file: str
    line: int
    outcome: Outcome
    message: str = ""
    log: tuple[str, ...] = ()

    def __str__(self) -> str:
        tail = f": {self.message}" if self.message else ""
        return f"{_MARKS[self.outcome]} {self.name} ({self.file}:{self.line}){tail}"


@dataclass(frozen=True, slots=True)
class TestReport:
    """The results of a driver's tests, in the order of the source."""

    __test__ = False

    driver: str
    results: tuple[TestResult, ...] = field(default=())

    def of(self, outcome: Outcome) -> list[TestResult]:
        """The results with this outcome."""
        return [each for each in self.results if each.outcome == outcome]

    @property
    def ok(self) -> bool:
        """Whether none has failed."""
        return not self.of("failed")

    @property
    def summary(self) -> str:
        """Such as ``3 passed, 1 failed``."""
        counts = {outcome: len(self.of(outcome)) for outcome in ("passed", "failed", "ignored")}
        return ", ".join(f"{n} {outcome}" for outcome, n in counts.items() if n) or "no tests"

    def __str__(self) -> str:
        lines = [f"{self.driver}: {self.summary}"]
        for each in self.results:
            lines.append(f"  {each}")
            if each.outcome == "failed":
                lines += [f"      {one_line(line)}" for line in each.log[-8:]]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(_row(each) for each in self.results)
        label = escape(f"Tests of {self.driver}: {self.summary}")
        return not_empty(
            f'<div class="kernellab-tests" role="group" aria-label="{label}"><strong>'
            f"{escape(one_line(self.driver))}: {self.summary}</strong>"
            f'<table style="margin:4px 0;text-align:left">{rows}</table></div>'
        )


def _row(each: TestResult) -> str:
    cell = "text-align:left;vertical-align:top;padding:2px 8px"
    what = escape(one_line(each.message))
    if each.outcome == "failed" and each.log:
        lines = escape("\n".join(one_line(line) for line in each.log))
        what += (
            f'<details><summary>its log</summary><pre style="margin:2px 0">{lines}</pre></details>'
        )
    return (
        f'<tr><td style="{cell};color:{_COLOURS[each.outcome]};white-space:nowrap">'
        f"<strong>{_MARKS[each.outcome]} {each.outcome}</strong></td>"
        f'<td style="{cell}"><code>{escape(one_line(each.name))}</code></td>'
        f'<td style="{cell};opacity:.8">{escape(one_line(each.file))}:{each.line}</td>'
        f'<td style="{cell}">{what}</td></tr>'
    )


def run_tests(
    driver: Driver,
    tests: Sequence[DriverTest],
    *,
    timeout: float | None = None,
    budget: int | None = None,
    progress: Callable[[int, int, str], object] | None = None,
) -> TestReport:
    """Run each of ``tests`` in ``driver``, prepared from an image that was built for testing.

    ``progress`` is called with (done, total, name) before each. Raises LoadError and TargetLost;
    whatever a test does to the machine is its result.
    """
    results = []
    for done, test in enumerate(tests):
        if progress is not None:
            progress(done, len(tests), test.name)
        if test.ignored is not None:
            outcome: Outcome = "ignored"
            results.append(_result(test, outcome, test.ignored, ()))
            continue
        results.append(_run(driver, test, timeout, budget))
    return TestReport(driver.name, tuple(results))


def _run(driver: Driver, test: DriverTest, timeout: float | None, budget: int | None) -> TestResult:
    target = driver.target
    driver.parameters = {**driver.parameters, _VALUE: f"{test.file}:{test.begin}"}
    seen, begin = len(target.violations), len(driver.log.lines)
    why = ""
    try:
        target.run(driver, timeout=timeout, budget=budget)
        driver.unload(timeout=timeout)
        if driver.loaded:
            why = f"it cannot be unloaded: {driver.error}"
    except Bugcheck as error:
        why = panic_text(driver.log.lines[begin:]) or str(error)
    except NtStatusError as error:
        why = _last(driver.log.lines[begin:]) or f"it ended with {error.name}"
    except TargetTimeout as error:
        why = str(error)
    broken = target.violations[seen:]
    if target.stopped or driver.loaded:
        target.reboot()  # the next one has a machine where nothing is left of this
    log = tuple(driver.log.lines[begin:])
    if test.should_panic is not None:
        panicked = panic_text(log)
        if panicked and test.should_panic in panicked:
            return _result(test, "passed", "it panicked, as it should", log)
        wanted = f" with {test.should_panic!r}" if test.should_panic else ""
        return _result(test, "failed", f"it should have panicked{wanted}. {why}".rstrip(), log)
    if not why and broken:
        place = own_frame(broken[0].frames, {test.file: ""})
        where = f" ({place.file}:{place.line})" if place is not None else ""
        why = f"verifier: {broken[0].rule}: {broken[0].message}{where}"
    return _result(test, "failed" if why else "passed", why, log)


def _last(log: Sequence[str]) -> str:
    """What the test said of its failure, in its last line."""
    lines = [line for line in log if line]
    return lines[-1] if lines and lines[-1].startswith("the test returned ") else ""


def _result(test: DriverTest, outcome: Outcome, message: str, log: Sequence[str]) -> TestResult:
    return TestResult(test.name, test.file, test.line, outcome, one_line(message), tuple(log))
