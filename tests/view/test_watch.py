"""One log of several drivers, on the real simulator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kernellab
from kernellab.errors import UsageError
from kernellab.lab import Target
from kernellab.pane.log import LogPane
from kernellab.view.watching import Watch

pytestmark = pytest.mark.usefixtures("no_leftovers")


@pytest.fixture
def target() -> Iterator[Target]:
    with kernellab.connect("sim") as machine:
        yield machine


def nothing(*_: Any, **__: Any) -> None:
    """A front end that shows nothing."""


def test_lines_of_two_drivers_in_the_order_of_printing(
    target: Target, hello: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = target.load(hello, name="one")
    two = target.load(hello, name="two")
    watched = kernellab.watch(two, one)
    one.unload()
    two.unload()
    watched.stop()
    target.load(hello, name="one").unload()
    printed = capsys.readouterr().out.splitlines()
    records = sorted(one.log.records() + two.log.records(), key=lambda record: record.seq)
    expected = [f"{record.driver}: {record.text.rstrip()}" for record in records]
    assert [line for line in printed if line.startswith(("one: ", "two: "))] == expected
    assert printed[0] == "two, one: watching. Drivers: two running, one running"
    assert printed[-1] == "two, one: stopped"


def test_a_pane_tells_the_drivers_apart(target: Target, hello: Path) -> None:
    drivers = [target.load(hello, name=name) for name in ("one", "two")]
    watched = Watch(drivers, rich=True, display=nothing)
    drivers[1].unload()
    pane = watched.pane
    assert isinstance(pane, LogPane)
    rows = pane.rows()
    assert rows.drivers == ["one", "two"]
    assert {row.driver for row in rows.rows(0, len(rows))} == {"one", "two"}
    assert sum(row.text == drivers[1].log.lines[0] for row in rows.rows(0, len(rows))) == 2
    assert "two unloaded" in pane.text() and "watching" in pane.text()
    watched.stop()
    pane.close()


def test_what_cannot_be_watched(target: Target, hello: Path) -> None:
    with pytest.raises(UsageError, match="name the drivers"):
        kernellab.watch()
    with kernellab.connect("sim") as other:
        drivers = [machine.load(hello) for machine in (target, other)]
        with pytest.raises(UsageError, match="different targets"):
            kernellab.watch(*drivers)
