"""The exercises of lesson 2: memory that may run out, pools and tags, cycles, stale pointers."""

from __future__ import annotations

from ...errors import Bugcheck
from ..exercise import Trial, exercise


@exercise("2.1", "Say no in time", driver="ex21_table")
def _(trial: Trial) -> None:
    status = ""
    try:
        status = trial.status_of_load()
    except Bugcheck:
        trial.expect(
            False,
            "The machine still stops: `vec!` cannot fail in any other way. Which methods of `Vec`"
            " return a `Result`?",
        )
    trial.expect(trial.log_has("a table of 137438953472"), "It has to ask for all of the table.")
    trial.expect(status, "The driver is loaded: who tells the caller that there is no table?")
    trial.expect(
        status == "STATUS_INSUFFICIENT_RESOURCES",
        f"It is refused with {status}. What the allocation failed with says more: hand that on"
        " with `?`.",
    )
    for each in trial.violations[:1]:
        trial.expect(False, f"It is refused, but {each.message}.")


@exercise("2.2", "Each in its place", driver="ex22_places")
def _(trial: Trial) -> None:
    trial.fresh()
    status = trial.target.status()
    trial.driver.unload()
    others = trial.target.status()["pool"]  # what other drivers of the notebook hold
    held = {tag: size - others.get(tag, 0) for tag, size in status["pool"].items()}
    pool, paged = {tag: size for tag, size in held.items() if size}, status["paged_pool"]
    trial.expect(
        "Rust" not in pool,
        f"{pool.get('Rust')} bytes still have the tag Rust: `Vec` and `Box` have no other."
        " Look at `PagedBox` and `PoolBox` in the cell of the driver `pools`.",
    )
    for tag, size, what in (("Logs", 8192, "log"), ("Cntr", 128, "counters")):
        trial.expect(tag in pool, f"There is no pool with the tag {tag}; {sorted(pool)} there are.")
        trial.expect(
            pool[tag] == size, f"For the {what} there should be {size} bytes, not {pool[tag]}."
        )
    trial.expect("Logs" in paged, "The log is in nonpaged pool, of which there is little.")
    trial.expect(
        "Cntr" not in paged,
        "The counters are in paged pool, which a timer at DISPATCH_LEVEL must not touch.",
    )
    trial.clean_unload()


@exercise("2.3", "Break the cycle", driver="ex23_window")
def _(trial: Trial) -> None:
    trial.fresh()
    for line in ("OK in main", "Cancel in main"):
        trial.expect(line in trial.lines, f"When it is loaded it has to print: {line}")
    trial.driver.unload()
    leaks = [each for each in trial.violations if each.rule == "leak-pool"]
    trial.expect(
        not leaks,
        "At unload it is still there: " + "; ".join(each.message for each in leaks) + ". The window"
        " owns its buttons; does a button have to own its window, or only to find it (`Weak`)?",
    )
    trial.clean_unload()


@exercise("2.4", "Whose fault is it?", driver="ex24_stale")
def _(trial: Trial) -> None:
    event = trial.driver.bugcheck
    if event is None:
        trial.expect(False, "The driver did not stop the machine: run its cell as it stands.")
        return
    stacks = [event.frames, *(each.frames for each in event.related)]
    lines = [
        next((frame.line for frame in frames if frame.file == "cell" and frame.line), 0)
        for frames in stacks
    ]
    labels = [each.label for each in event.related]
    freed = next((n for n, label in enumerate(labels, 1) if "freed" in label), 0)
    trial.expect(trial.line != lines[0], "That is where it was read. Who freed it before that?")
    trial.expect(
        trial.line not in lines[1:] or trial.line == lines[freed],
        "That is where it was allocated. The report has one more stack.",
    )
    trial.expect(
        trial.line == lines[freed],
        f"Not line {trial.line}. In the pane, look for the stack that says where it was freed, and"
        " in it for the first line that is marked as yours.",
    )
