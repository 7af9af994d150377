"""``check("2.1")``: is the exercise solved, and if not, a hint."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from ..errors import BuildError, KernelLabError
from ..pane.text import one_line
from . import progress
from .exercise import Exercise, NotYetError, Trial, find

if TYPE_CHECKING:
    from ..driver import Driver


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
    wanted = find(number)
    try:
        wanted.check(Trial(_driver(wanted), values))
    except NotYetError as error:
        result = Result(number, wanted.title, False, str(error))
    except BuildError:
        raise
    except KernelLabError as error:
        result = Result(number, wanted.title, False, f"While it was tried: {error}")
    else:
        result = Result(number, wanted.title, True)
        progress.remember(number)
    if strict and not result:
        raise AssertionError(str(result))
    return result


def _driver(wanted: Exercise) -> Driver | None:
    """The notebook's driver of the exercise; a hint where it was never loaded."""
    from ..cellrun import workbench

    driver = workbench().driver(wanted.driver) if wanted.driver else None
    if driver is None and wanted.driver:
        raise NotYetError(f"Run the cell that begins with %%rustdriver {wanted.driver} first.")
    return driver
