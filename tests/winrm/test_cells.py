"""Cells with a Windows machine as their target: what the pane says, ■, --fresh, completion."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import kernellab
from kernellab.errors import NtStatusError, PowerError, Unsupported
from kernellab.target.base import Endpoint, TargetKind
from tests.drivers import driver_source
from tests.kernel import Notebook
from tests.winrm.server import WinRMServer

Serve = Callable[..., WinRMServer]
HELLO = driver_source('println!("hello");')


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_a_machine_that_does_not_answer(serve: Serve, vm: Any, book_of: Any) -> None:
    """The pane says what is under way, and ■ ends it: nothing answers until the test has ended."""
    server = serve()
    vm(server)
    book = book_of()
    server.lose_network("silent")
    cell = f"%%rustdriver hello --target my-vm\n{HELLO}"
    message = book.start(cell)
    end = time.monotonic() + 60
    while not server.turned_away:
        assert time.monotonic() < end
        time.sleep(0.02)
    asked = server.turned_away
    book.manager.interrupt_kernel()
    result = book.finish(message)
    assert (result.status, result.name) == ("error", "KeyboardInterrupt")
    assert server.turned_away == asked, "it did not wait for an answer, and ask again"
    assert "built, and not loaded" in result.text
    names = book.value(r"get_ipython().complete('', '%%rustdriver hello --target ', 28)[1]")
    assert "my-vm" in names and "sim" in names
    fresh = book.run(cell.replace("my-vm", "my-vm --fresh"))
    assert (fresh.status, fresh.name) == ("error", "PowerError")
    assert "Power and snapshots" in fresh.text


@pytest.fixture
def book_of() -> Iterator[Callable[[], Notebook]]:
    """A kernel that starts with the environment as it is when it is asked for."""
    books: list[Notebook] = []

    def start() -> Notebook:
        books.append(Notebook())
        return books[-1]

    yield start
    for book in books:
        book.close()


def test_sim_starts_a_new_machine_for_fresh() -> None:
    with kernellab.connect("sim", fresh=True) as lab:
        lab.registry[r"HKLM\SOFTWARE\Lab"]["Depth"] = 5
        lab.refresh()
        with pytest.raises((KeyError, NtStatusError)):
            lab.registry[r"HKLM\SOFTWARE\Lab"]["Depth"]
        assert lab.reboots == 1


def test_a_target_without_snapshots_says_so() -> None:
    class Plain(TargetKind):
        name, summary = "plain", "one that is what it is"

        def start(self, **options: Any) -> Endpoint:
            raise NotImplementedError

    with pytest.raises(Unsupported, match="plain has no snapshots"):
        Plain().fresh("kernellab")


def test_a_machine_is_taken_back_for_each_fresh_run(
    serve: Serve, vm: Any, agent: Path, hello: Path, tmp_path: Path
) -> None:
    asked = tmp_path / "asked"
    note = f"import sys; open({str(asked)!r}, 'a').write(' '.join(sys.argv[1:]) + chr(10))"
    line = [sys.executable, "-c", note]
    server = serve()
    vm(
        server,
        f"[targets.my-vm.power]\nkind = 'commands'\nrevert = {[*line, 'revert', '{snapshot}']!r}\n"
        f"start = {[*line, 'start']!r}\n",
    )
    with kernellab.connect("my-vm", program=agent) as lab:
        driver = lab.load(hello)
        assert not asked.exists()
        lab.refresh()
        assert asked.read_text() == "revert kernellab\nstart\n"
        assert driver.state == "gone"
        driver.reload()
        lab.reboot()
        assert asked.read_text().count("revert") == 1
        with pytest.raises(PowerError, match="no name"):
            lab.refresh("--all")
