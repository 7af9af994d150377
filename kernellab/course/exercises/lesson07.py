"""The exercises of lesson 7: races, what may wait, the order of locks."""

from __future__ import annotations

from ...errors import Bugcheck
from ...lab import connect
from ..exercise import Trial, exercise

_SEEDS = range(1, 5)


def _on_other_machines(trial: Trial) -> dict[int, str]:
    """The last line that the driver prints, by the machine's seed."""
    last = {}
    for seed in _SEEDS:
        with connect("sim", seed=seed) as target:
            last[seed] = (target.load(trial.driver.image).log.lines or [""])[-1]
    return last


@exercise("7.1", "Lose none", driver="ex71_total")
def _(trial: Trial) -> None:
    trial.fresh()
    trial.clean_unload()
    total = trial.log_matches(r"^total \d+$")
    trial.expect(total, "It has to print: total and the number.")
    here = total[0] if total else ""
    for seed, line in {0: here, **_on_other_machines(trial)}.items():
        trial.expect(
            line == "total 4000",
            f"With seed {seed} it prints: {line}. What happens if the other thread runs between"
            " the load and the store? Do both in one step, or hold a lock around both.",
        )


@exercise("7.2", "Slow work under a lock", driver="ex72_slow")
def _(trial: Trial) -> None:
    try:
        trial.fresh()
    except Bugcheck:
        trial.expect(
            not trial.log_has("may be called at"),
            "It still waits at DISPATCH_LEVEL: the guard of the spin lock lives until the end of"
            " its block. Measure before you lock.",
        )
        trial.expect(False, "It stops the machine: look at its pane.")
    trial.expect(trial.log_has("stored [1, 2, 3]"), "It has to store all three: stored [1, 2, 3].")
    stored = [each for each in trial.driver.log if "stored" in each.text][-1]
    trial.expect(
        stored.irql == 2,
        "The last line is printed at a lower level than before: the list has to stay behind a"
        " SpinLock, and the line takes it.",
    )
    trial.clean_unload()


@exercise("7.3", "One order", driver="ex73_order")
def _(trial: Trial) -> None:
    trial.fresh()
    for report in trial.violations:
        trial.expect(
            report.rule != "lock-order",
            "The verifier still sees two orders. One thread moves from 0 to 1, the other from 1 to"
            " 0: which lock does each take first?",
        )
    trial.expect(
        trial.log_has("60 and 40"),
        f"It prints: {trial.lines[-1] if trial.lines else 'nothing'}; 50 - 10 + 20 is 60.",
    )
    trial.clean_unload()
