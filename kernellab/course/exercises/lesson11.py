"""The exercises of lesson 11: settings with a range, one name or many, how the last run ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ...system import PlainValue, RegistryKey, RegistryValue
from ..exercise import Trial, exercise

_DWORD: Final = 4


def _settings(trial: Trial) -> RegistryKey:
    """The driver's Parameters key, which only the check writes to."""
    trial.driver.parameters = {}
    return trial.target.registry.parameters(trial.driver.name)


def _write(key: RegistryKey, name: str, value: PlainValue | None) -> None:
    """Write the value; None takes it away."""
    if value is not None:
        key[name] = value
    elif name in key:
        del key[name]


@contextmanager
def _gone_afterwards(trial: Trial, key: RegistryKey, name: str) -> Iterator[None]:
    """Take the value away in the end: a solution that is tried next begins without it."""
    try:
        yield
    finally:
        if not trial.target.stopped:
            _write(key, name, None)


def _load_with(trial: Trial, key: RegistryKey, name: str, value: PlainValue | None) -> str:
    """Load the driver with the value; the status with which it refuses, empty if not."""
    if trial.target.stopped:
        trial.target.reboot()
    if trial.driver.loaded:
        trial.driver.unload()
    _write(key, name, value)
    return trial.status_of_load()


@exercise("11.1", "A limit", driver="ex111_limit")
def _(trial: Trial) -> None:
    key = _settings(trial)
    cases: list[tuple[PlainValue | None, int]] = [
        (None, 8),
        (32, 32),
        (1, 1),
        (64, 64),
        (0, 8),
        (65, 8),
        (0xFFFFFFFF, 8),
        ("32", 8),
        (b"\x20\0\0\0", 8),
        (RegistryValue(_DWORD, b"\x20"), 8),
    ]
    with _gone_afterwards(trial, key, "Limit"):
        for value, limit in cases:
            _limit(trial, key, value, limit)
    trial.clean_unload()


def _limit(trial: Trial, key: RegistryKey, value: PlainValue | None, limit: int) -> None:
    what = "no Limit" if value is None else f"Limit = {value!r}"
    status = _load_with(trial, key, "Limit", value)
    trial.expect(
        not status,
        f"With {what} the driver is not loaded: {status}. Which line passes the error on?",
    )
    trial.expect(trial.lines, f"With {what} it prints nothing: `limit {limit}` is expected.")
    trial.expect(
        f"limit {limit}" in trial.lines,
        f"With {what} it should print `limit {limit}`, and prints `{trial.lines[-1]}`."
        + (" Is the value in the range?" if isinstance(value, int) else ""),
    )


@exercise("11.2", "One name or many", driver="ex112_names")
def _(trial: Trial) -> None:
    key = _settings(trial)
    with _gone_afterwards(trial, key, "Names"):
        _names(trial, key)
    _load_with(trial, key, "Names", None)
    trial.clean_unload()


def _names(trial: Trial, key: RegistryKey) -> None:
    cases: list[tuple[PlainValue | None, list[str]]] = [
        (None, []),
        (["ann", "bob"], ["ann", "bob"]),
        ([], []),
        ("ann", ["ann"]),
    ]
    for value, names in cases:
        status = _load_with(trial, key, "Names", value)
        what = "no Names" if value is None else f"Names = {value!r}"
        trial.expect(
            not status,
            f"With {what} the driver is not loaded: {status}."
            + (" Try it as a `String` then." if isinstance(value, str) else ""),
        )
        wanted = [f"name {each}" for each in names]
        trial.expect(trial.lines == wanted, f"With {what} it prints {trial.lines}, not {wanted}.")
    for value in (7, b"ann"):
        status = _load_with(trial, key, "Names", value)
        trial.expect(status, f"Names = {value!r} is no name, but the driver is loaded.")
        trial.expect(
            status == "STATUS_INVALID_PARAMETER",
            f"With Names = {value!r} it is refused with {status}: Error::INVALID_PARAMETER would"
            " tell the administrator more.",
        )


@exercise("11.3", "How did the last run end?", driver="ex113_lastrun")
def _(trial: Trial) -> None:
    warning = "the last run did not end well"
    key = _settings(trial)
    _load_with(trial, key, "Running", None)
    trial.expect(
        not trial.log_has(warning),
        "Without a value it warns already: the first run has no run before it.",
    )
    trial.expect(
        key.get("Running") == 1,
        f"While it is loaded, Running is {key.get('Running')!r}; `init` has to write 1.",
    )
    trial.driver.unload()
    trial.expect(
        key.get("Running") == 0,
        f"After its unload Running is {key.get('Running')!r}; `cleanup` has to write 0."
        " It needs the key for that: where can `init` leave it?",
    )
    trial.fresh()
    trial.expect(not trial.log_has(warning), "It warns although the last run was unloaded.")
    _load_with(trial, key, "Running", 1)  # as a run that stopped the machine leaves it
    trial.expect(
        trial.log_has(warning), f"With Running = 1 at its start it should print: {warning}."
    )
    trial.expect(
        key.get("Running") == 1, "After a run that did not end well it does not write 1 any more."
    )
    trial.clean_unload()
