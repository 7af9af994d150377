"""The exercises of lesson 16: counting, and saying more than a mean."""

from __future__ import annotations

from ...lab import connect
from ..exercise import Trial, exercise


def _rows(lines: list[str]) -> dict[int, list[int]]:
    """The numbers after the first, by the first: rows of a table, other lines left out."""
    found = {}
    for line in lines:
        numbers = line.split(",")
        if all(each.strip().isdecimal() for each in numbers):
            threads, *rest = map(int, numbers)
            found[threads] = rest
    return found


@exercise("16.1", "Count the retries", driver="ex161_retries")
def _(trial: Trial) -> None:
    for seed in (1, 2):
        with connect("sim", seed=seed) as target:
            rows = _rows(target.load(trial.driver.image).log.lines)
        trial.expect(
            {threads: len(rest) for threads, rest in rows.items()} == {1: 2, 2: 2},
            "It has to print two rows of three numbers: threads, total, retries.",
        )
        trial.expect(
            (rows[1][0], rows[2][0]) == (100, 200),
            f"With seed {seed} the totals are {rows[1][0]} and {rows[2][0]}, not 100 and 200: an"
            " exchange that failed has to be tried again.",
        )
        trial.expect(
            rows[2][1] > 0,
            "Two threads never had to try again? Count where the loop begins anew.",
        )
        trial.expect(
            rows[1][1] == 0,
            f"A single thread had {rows[1][1]} retries: nobody is there who could disturb it. Is a"
            " success counted, too?",
        )
    trial.fresh()
    trial.clean_unload()


@exercise("16.2", "Three numbers")
def _(trial: Trial) -> None:
    summary = trial.value
    trial.expect(callable(summary), "Give the function itself: check('16.2', summary).")
    cases: list[tuple[list[float], tuple[float, float, float], str]] = [
        ([5, 1, 9], (1, 5, 9), "Of three numbers it is the middle one, once they are sorted."),
        ([4, 1, 2, 10], (1, 3, 10), "Two are in the middle, 2 and 4: the median is their mean."),
        ([7], (7, 7, 7), "A single number is all three."),
    ]
    for values, expected, hint in cases:
        given = list(values)
        try:
            result = summary(given)
        except Exception as error:  # whatever the reader's function does
            trial.expect(False, f"summary({values}) raises {type(error).__name__}: {error}.")
        trial.expect(
            isinstance(result, tuple) and len(result) == 3,
            f"summary({values}) gives {result!r}, not a tuple of three.",
        )
        trial.expect(
            (result[0], result[2]) == (expected[0], expected[2]),
            f"summary({values}) gives {result!r}: the smallest and the largest are"
            f" {expected[0]} and {expected[2]}.",
        )
        trial.expect(result == expected, f"summary({values}) gives {result!r}. {hint}")
