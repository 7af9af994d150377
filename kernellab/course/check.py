"""``check("2.1")``: is the exercise solved, and if not, a hint."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final

from ..errors import Bugcheck, BuildError, KernelLabError, NtStatusError
from ..pane.text import one_line
from . import progress
from .exercise import Exercise, NotYetError, Trial, find

if TYPE_CHECKING:
    from ..driver import Driver


#: MANUALLY_INITIATED_CRASH, with which the framework stops the machine after a panic.
_PANIC: Final = 0xE2


@dataclass(frozen=True, slots=True)
class Result:
    """How a check came out. It is true where the exercise is solved."""

    number: str
    title: str
    solved: bool
    hint: str = ""

    def __bool__(self) -> bool:
        return self.solved

    def __str__(self) -> str:
        if self.solved:
            return f"✓ {self.number} {self.title}: solved"
        return f"✗ {self.number} {self.title}: not yet. {self.hint}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        colour, mark = ("#2e7d32", "✓") if self.solved else ("#b26a00", "✗")
        head = f"{mark} {self.number} {self.title}: {'solved' if self.solved else 'not yet'}"
        hint = f"<div>{escape(one_line(self.hint))}</div>" if self.hint else ""
        return (
            f'<div class="kernellab-check" role="status" style="border-left:4px solid {colour};'
            f'padding:4px 12px;margin:4px 0"><strong>{escape(head)}</strong>{hint}</div>'
        )


def check(number: str, *values: Any, strict: bool = False) -> Result:
    """Check the exercise ``number``, such as ``"2.1"``.

    The driver that the exercise asks for is found by its name; an exercise whose answer is a
    Python value takes it as ``values``. With ``strict``, as when an assignment is graded, an
    exercise that is not solved raises AssertionError. What is solved is remembered for
    ``kernellab course``.
    """
    wanted = find(str(number))
    driver = None
    try:
        driver = _driver(wanted)
        wanted.check(Trial(driver, values))
    except NotYetError as error:
        result = Result(wanted.number, wanted.title, False, str(error))
    except BuildError:
        raise
    except KernelLabError as error:
        result = Result(wanted.number, wanted.title, False, _in_words(error, driver))
    else:
        result = Result(wanted.number, wanted.title, True)
        progress.remember(wanted.number)
    if strict and not result:
        raise AssertionError(str(result))
    return result


def _driver(wanted: Exercise) -> Driver | None:
    """The notebook's driver of the exercise; a hint where it was never loaded."""
    from ..workbench import workbench

    if wanted.driver and workbench().does_not_build(wanted.driver):
        raise NotYetError("Its cell does not build: mend what its pane shows, and run it again.")
    driver = workbench().driver(wanted.driver) if wanted.driver else None
    if driver is None and wanted.driver:
        raise NotYetError(f"Run the cell that begins with %%rustdriver {wanted.driver} first.")
    return driver


def _in_words(error: KernelLabError, driver: Driver | None) -> str:
    """What went wrong while a check tried the driver, where the check has no hint of its own."""
    if isinstance(error, Bugcheck):
        panics = (
            [line for line in driver.log.lines if line.startswith("panicked at")] if driver else []
        )
        what = panics[-1] if panics and error.code == _PANIC else str(error)
        return f"The machine stopped while it was tried: {what}. The pane shows the line."
    if isinstance(error, NtStatusError) and str(error).startswith("there is no device"):
        return (
            f"While it was tried: {error}. Does the driver still give that name, and does `Module`"
            " keep the device? It goes when its value is dropped."
        )
    return f"While it was tried: {error}"
