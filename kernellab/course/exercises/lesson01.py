"""The exercises of lesson 1: printing, refusing, reading a bug check."""

from __future__ import annotations

from ..exercise import Trial, exercise


@exercise("1.1", "Say it your way", driver="ex11_first")
def _(trial: Trial) -> None:
    trial.fresh()
    trial.expect(
        "my first driver" in trial.lines,
        "When it is loaded, the driver has to print the line: my first driver. "
        + (f"It prints: {'; '.join(trial.lines)}." if trial.lines else "`init` runs then."),
    )
    trial.expect("and it is gone" not in trial.lines, "It says goodbye while it is still loaded.")
    trial.clean_unload()
    trial.expect(
        "and it is gone" in trial.lines,
        "When it is unloaded, it has to print: and it is gone. Which function runs then?",
    )


@exercise("1.2", "Refuse politely", driver="ex12_refuses")
def _(trial: Trial) -> None:
    status = trial.status_of_load()
    trial.expect(status, "The driver is loaded: `init` still returns `Ok`.")
    trial.expect(
        trial.log_has("found 25 primes"), "It has to find the 25 primes first, and print that."
    )
    trial.expect(
        status == "STATUS_NOT_SUPPORTED",
        f"It is refused with {status}; it should be Error::NOT_SUPPORTED.",
    )
    for each in trial.violations:
        trial.expect(False, f"It is refused, but {each.message}: what became of the `Vec`?")


@exercise("1.3", "Where did it stop?", driver="ex13_stops")
def _(trial: Trial) -> None:
    event = trial.driver.bugcheck
    if event is None:
        trial.expect(False, "The driver did not stop the machine: run its cell as it stands.")
    else:
        mine = [frame.line for frame in event.frames if frame.file == "cell" and frame.line]
        trial.expect(
            trial.line not in mine[1:] or trial.line == mine[0],
            f"Line {trial.line} called the function that stopped the machine. The stack has the"
            " innermost call first.",
        )
        trial.expect(
            trial.line == mine[0],
            f"Not line {trial.line}. In the pane, the panic's message ends in `cell:` and the"
            " line; so does the first frame of the stack that is marked as yours.",
        )
