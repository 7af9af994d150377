"""The exercises of lesson 8: a timer that is kept, getting down from DISPATCH, stopping."""

from __future__ import annotations

from ...errors import Bugcheck
from ..exercise import Trial, exercise


@exercise("8.1", "Tick", driver="ex81_tick")
def _(trial: Trial) -> None:
    trial.fresh()
    trial.target.sleep(0.55)
    trial.clean_unload()
    trial.expect(
        trial.log_has("tick"),
        "Nothing ticks. How long does the timer live? It is a local variable of `init`.",
    )
    expected = [f"tick {number}" for number in range(1, 6)]
    trial.expect(
        trial.lines == expected,
        f"In 550 ms there should be five ticks, from tick 1 to tick 5; there is: {trial.lines}.",
    )
    trial.target.sleep(1)
    trial.expect(trial.lines == expected, "It ticks on while it is unloaded.")


@exercise("8.2", "Get down", driver="ex82_down")
def _(trial: Trial) -> None:
    try:
        trial.fresh()
        trial.target.sleep(0.1)
    except Bugcheck:
        trial.expect(
            not trial.log_has("exec::sleep may be called at"),
            "`save` still runs at DISPATCH_LEVEL. What runs a closure at PASSIVE_LEVEL, and can be"
            " queued from a timer?",
        )
        trial.expect(False, "It stops the machine: look at its pane.")
    saved = [line for line in trial.lines if line.startswith("saved at ")]
    trial.expect(saved, "Nothing is saved: who queues the work item, and how long does it live?")
    trial.expect(set(saved) == {"saved at PASSIVE_LEVEL"}, f"It is {saved[-1]}, not PASSIVE_LEVEL.")
    trial.expect(len(saved) >= 10, "It has to save every 10 ms: is the timer still periodic?")
    trial.clean_unload()


@exercise("8.3", "Stop at once", driver="ex83_stop")
def _(trial: Trial) -> None:
    trial.fresh()
    trial.target.sleep(3.5)
    count = trial.lines.count("still here")
    trial.expect(
        count == 3, f"In 3.5 seconds it should say 'still here' three times, not {count} times."
    )
    trial.clean_unload()
    begin, end = (
        next((each.time for each in reversed(trial.driver.log.records()) if text in each.text), 0.0)
        for text in ("cleanup", "stopped")
    )
    trial.expect(end >= begin > 0, "It has to print: cleanup, and then: stopped.")
    trial.expect(
        end - begin < 0.001,
        f"It ends {(end - begin) * 1000:.0f} ms after `cleanup`. Which function of the token"
        " sleeps, and wakes up when it is time to stop?",
    )
