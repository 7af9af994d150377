"""The exercises of lesson 12: counting programs, guarding a value, guarding processes."""

from __future__ import annotations

from typing import Final

from ...errors import NtStatusError
from ...system import Process, RegistryKey
from ..exercise import Trial, exercise

_TERMINATE: Final = 0x1
_VM_READ: Final = 0x10
_QUERY: Final = 0x400


def _end(programs: list[Process]) -> None:
    for program in programs:
        program.exit()
    programs.clear()


@exercise("12.1", "A census", driver="ex121_census")
def _(trial: Trial) -> None:
    trial.fresh().unload()
    there = [trial.target.spawn("before.exe")]
    try:
        _census(trial, there)
    finally:
        if not trial.target.stopped:
            _end(there)
    trial.clean_unload()


def _census(trial: Trial, there: list[Process]) -> None:
    trial.fresh()
    new = [trial.target.spawn(f"new{number}.exe") for number in range(3)]
    there += new
    trial.expect(trial.log_has("running"), "It prints nothing when a program starts.")
    trial.expect(
        trial.lines[-3:] == ["1 running", "2 running", "3 running"],
        f"Three programs have started, and it printed {trial.lines}. What has to go into `running`"
        " for each new one?",
    )
    new[1].exit()
    trial.expect(
        trial.lines[-1] == "2 running",
        f"One of the three has ended, and it printed {trial.lines[-1]}.",
    )
    there[0].exit()
    trial.expect(
        trial.lines[-1] == "2 running",
        f"A program ended that ran before the driver was loaded, and it printed"
        f" {trial.lines[-1]}: only those that it has seen start count.",
    )


@exercise("12.2", "Hands off this value", driver="ex122_seal")
def _(trial: Trial) -> None:
    trial.fresh().unload()
    lab = trial.target.registry[r"HKLM\SOFTWARE\Lab"]
    safe, elsewhere = lab / "Safe", lab / "Other"
    safe["Seal"] = "old"
    trial.fresh()
    free = "Only `Seal` in a key that ends in \\Lab\\Safe is to be guarded."
    trial.expect(_refusal(safe, "Note", "x") == "", f"It refuses another value of the key. {free}")
    trial.expect(_refusal(elsewhere, "Seal", "x") == "", f"It refuses `Seal` elsewhere. {free}")
    for name in ("Seal", "SEAL"):
        status = _refusal(safe, name, "new")
        trial.expect(
            status,
            f"{name} was written."
            + (" Names have no case: which comparison leaves it out?" if name == "SEAL" else ""),
        )
        trial.expect(
            status == "STATUS_ACCESS_DENIED",
            f"Writing is refused with {status}, not ACCESS_DENIED.",
        )
    status = _refusal(safe, "Seal", None)
    trial.expect(status, "The value was deleted: that is an event of its own.")
    trial.expect(
        status == "STATUS_ACCESS_DENIED", f"Deleting is refused with {status}, not ACCESS_DENIED."
    )
    shouted = trial.target.registry[r"HKLM\SOFTWARE\LAB\SAFE"]
    trial.expect(_refusal(shouted, "Seal", "new"), "It was written by way of the path LAB\\SAFE.")
    trial.expect(safe["Seal"] == "old", "The value has changed.")
    trial.clean_unload()
    lab.delete()


def _refusal(key: RegistryKey, name: str, value: str | None) -> str:
    """Write the value, or delete it for None; with which status it was refused, empty if not."""
    try:
        if value is None:
            del key[name]
        else:
            key[name] = value
    except NtStatusError as error:
        return error.name
    return ""


@exercise("12.3", "It cannot be ended", driver="ex123_guard")
def _(trial: Trial) -> None:
    trial.fresh()
    programs = [trial.target.spawn(n) for n in ("guarded.exe", "notepad.exe", "guarded.exe")]
    first, other, second = programs
    wanted = _TERMINATE | _VM_READ | _QUERY
    try:
        for each in (first, second):
            rights = each.open(wanted)
            trial.expect(
                not rights & _TERMINATE, "A handle of guarded.exe still has PROCESS_TERMINATE."
            )
            trial.expect(
                rights == wanted & ~_TERMINATE,
                f"Of the rights {wanted:#x} only {_TERMINATE:#x} is to go; {rights:#x} were left.",
            )
        rights = other.open(wanted)
        trial.expect(
            rights == wanted,
            f"A handle of notepad.exe was asked for with {wanted:#x} and has {rights:#x} only.",
        )
    finally:
        if not trial.target.stopped:
            _end(programs)
    trial.clean_unload()
