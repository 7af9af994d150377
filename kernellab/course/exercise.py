"""What an exercise is, and what its check has at hand.

The checks of a lesson are a module ``exercises/lesson07.py``, one function an exercise::

    @exercise("7.1", "Count without losing any", driver="counter")
    def _(trial: Trial) -> None:
        trial.expect(trial.log_has("total 2000"), "increments get lost: which lock guards them?")
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from ..errors import NtStatusError, UsageError

if TYPE_CHECKING:
    from ..driver import Driver
    from ..lab import Target
    from ..protocol import Violation

_NUMBER: Final = re.compile(r"(\d{1,2})\.(\d{1,2})")


class NotYetError(Exception):
    """The exercise is not solved; the message is the hint."""


class Trial:
    """One look at a solution.

    ``values`` is what was given to ``check`` besides the exercise's number.
    """

    def __init__(self, driver: Driver | None, values: tuple[Any, ...] = ()) -> None:
        self._driver = driver
        self.values = values
        self._lines = self._violations = 0

    @property
    def driver(self) -> Driver:
        """The driver that the exercise names, as the notebook loaded it last."""
        assert self._driver is not None, "this exercise has no driver"
        return self._driver

    @property
    def target(self) -> Target:
        """The machine that the driver is on."""
        return self.driver.target

    @property
    def value(self) -> Any:
        """The one value that was given to ``check``."""
        if len(self.values) != 1:
            raise NotYetError("Give check(…) your answer as well, after the exercise's number.")
        return self.values[0]

    @property
    def line(self) -> int:
        """The one value that was given to ``check``, the number of a line."""
        try:
            return int(self.value)
        except (TypeError, ValueError):
            raise NotYetError("Give check(…) the line's number after the exercise's.") from None

    def expect(self, condition: object, hint: str) -> None:
        """Go on where ``condition`` holds, else the exercise is not solved and this is the hint."""
        if not condition:
            raise NotYetError(hint)

    @property
    def lines(self) -> list[str]:
        """The lines of the driver's log, since :meth:`fresh` if that was called."""
        return self.driver.log.lines[self._lines :]

    @property
    def violations(self) -> list[Violation]:
        """What the verifier has against the driver, since :meth:`fresh` if that was called."""
        return list(self.driver.violations)[self._violations :]

    def log_has(self, text: str) -> bool:
        """Whether one of the lines has ``text`` in it."""
        return any(text in line for line in self.lines)

    def log_matches(self, pattern: str) -> re.Match[str] | None:
        """The first match of the regular expression in a line."""
        found = (re.search(pattern, line) for line in self.lines)
        return next((match for match in found if match), None)

    def fresh(self) -> Driver:
        """The driver loaded anew, on a machine that runs; what was before counts no more."""
        if self.target.stopped:
            self.target.reboot()
        if self.driver.loaded:
            self.driver.unload()
        self._lines, self._violations = len(self.driver.log.lines), len(self.driver.violations)
        self.target.run(self.driver)
        return self.driver

    def status_of_load(self) -> str:
        """Load the driver anew; the name of the NTSTATUS with which it refuses, empty if not."""
        try:
            self.fresh()
        except NtStatusError as error:
            return error.name
        return ""

    def clean_unload(self) -> None:
        """Unload the driver; not solved where the verifier has anything against it then."""
        if self.driver.loaded:
            self.driver.unload()
        for each in self.violations[:1]:
            self.expect(False, f"The verifier says: {each.rule}: {each.message}.")


Check = Callable[[Trial], None]


@dataclass(frozen=True, slots=True)
class Exercise:
    """An exercise: its number (``7.1``), its title, the driver that solves it, and its check."""

    number: str
    title: str
    driver: str
    points: int
    check: Check

    @property
    def lesson(self) -> int:
        """The number of its lesson."""
        return int(self.number.partition(".")[0])


_found: Final[dict[str, Exercise]] = {}


def exercise(
    number: str, title: str, *, driver: str = "", points: int = 1
) -> Callable[[Check], Check]:
    """Make a function the check of an exercise. ``driver`` is the name in its ``%%rustdriver``."""

    def register(function: Check) -> Check:
        if not _NUMBER.fullmatch(number) or number in _found:
            raise ValueError(f"{number!r} cannot be the number of an exercise")
        _found[number] = Exercise(number, title, driver, points, function)
        return function

    return register


@cache
def of_lesson(lesson: int) -> tuple[Exercise, ...]:
    """The exercises of a lesson, in order; none where it has none."""
    name = f"{__package__}.exercises.lesson{lesson:02}"
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
    mine = [each for each in _found.values() if each.lesson == lesson]
    return tuple(sorted(mine, key=lambda each: int(each.number.partition(".")[2])))


def find(number: str) -> Exercise:
    """The exercise ``number``; UsageError says which there are."""
    match = _NUMBER.fullmatch(number)
    known = of_lesson(int(match[1])) if match else ()
    for each in known:
        if each.number == number:
            return each
    names = ", ".join(each.number for each in known)
    raise UsageError(
        f"there is no exercise {number!r}" + (f": this lesson has {names}" if names else "")
    )
