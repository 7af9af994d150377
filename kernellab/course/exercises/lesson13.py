"""The exercises of lesson 13: reading a stack, memory at a raised IRQL, two findings."""

from __future__ import annotations

from ...errors import Bugcheck
from ..exercise import Trial, exercise


@exercise("13.1", "Who handed it over?", driver="ex131_null")
def _(trial: Trial) -> None:
    event = trial.driver.bugcheck
    if event is None:
        trial.expect(False, "The driver did not stop the machine: run its cell as it stands.")
        return
    lines = [frame.line for frame in event.frames if frame.file == "cell" and frame.line]
    inner, caller = lines[0], lines[1]
    trial.expect(trial.value != inner, "That is where it was read. Who called `length`?")
    trial.expect(
        trial.value not in lines[2:],
        "That line called `longest`; the null pointer is passed one frame further in.",
    )
    trial.expect(
        trial.value == caller,
        f"Not line {trial.value}. The pane's call stack has three frames of yours, the innermost"
        " first: the second is the caller of the one that stopped.",
    )


@exercise("13.2", "Read before you raise", driver="ex132_raise")
def _(trial: Trial) -> None:
    try:
        trial.fresh()
    except Bugcheck as stop:
        trial.expect(
            False,
            f"The machine still stops with {stop.name}: the table is used at DISPATCH_LEVEL."
            " What do you need of it, and when can you have it?",
        )
    trial.expect(
        trial.log_has("20 at "), "It has to print the table's second number: 20 at DISPATCH_LEVEL."
    )
    trial.expect(
        trial.log_has("20 at DISPATCH_LEVEL"),
        "It prints at a lower IRQL: only the reading has to come before.",
    )
    trial.expect(
        "Tabl" in trial.target.status()["paged_pool"], "The table is no longer in paged pool."
    )
    trial.clean_unload()
    trial.expect("3 numbers" in trial.lines, "The table has to stay until the driver is unloaded.")


@exercise("13.3", "Two findings", driver="ex133_two")
def _(trial: Trial) -> None:
    trial.fresh()
    trial.expect("4 is Ok(8)" in trial.lines, "4 has to be 8 still.")
    trial.expect(trial.log_has("40 is Err(STATUS_INVALID_PARAMETER"), "40 has to be refused still.")
    trial.driver.unload()
    rules = {each.rule for each in trial.violations}
    for rule, hint in (
        ("irql-not-restored", "Which way out of `work` does not lower the IRQL?"),
        ("leak-pool", "Which way out of `work` does not free the block?"),
    ):
        trial.expect(rule not in rules, f"The verifier says {rule}. {hint}")
    for each in trial.violations[:1]:
        trial.expect(False, f"The verifier says: {each.rule}: {each.message}.")
