"""What is not done: PowerShell that is not the package's, and anything to an unmarked machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kernellab
from kernellab import cli
from kernellab.errors import NotALabMachine, TargetRefused
from kernellab.target import config
from kernellab.target.credentials import Secret
from kernellab.target.winrm import prepare, scripts, target
from tests.winrm.conftest import PASSWORD
from tests.winrm.machine import Machine
from tests.winrm.server import WinRMServer

Serve = Callable[..., WinRMServer]
#: What each script is asked, so that it would do something.
ASKED: dict[str, dict[str, Any]] = {
    "run": {"items": []},
    "read": {"items": []},
    "write": {"items": [{"kind": "bcd", "name": "testsigning", "value": "on"}]},
    "put": {"path": r"C:\x.bin", "sha256": "0" * 64},
    "restart": {},
    "dump": {"seconds": 5},
}


def one_character(text: str, at: int) -> str:
    """``text`` with the first letter after ``at`` in the other case: to PowerShell, the same."""
    at = next(n for n in range(at, len(text)) if text[n].isalpha())
    return text[:at] + text[at].swapcase() + text[at + 1 :]


def test_powershell_that_differs_by_one_character_is_refused(
    serve: Serve, vm: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, before = vm(serve()), machine.state
    assert {path.stem for path in scripts.FOLDER.glob("*.ps1")} == {*ASKED, "first"}
    ships = scripts.text
    for name, asked in ASKED.items():
        text = ships(name)
        started = "write" if name == "run" else name
        code = text.index("$ErrorActionPreference") if name == "run" else len(text) // 2
        for changed in (one_character(text, code), text + " "):
            if name == "run" and changed.endswith(" "):
                continue  # lines of what is started are sent without the space around them
            monkeypatch.setattr(
                scripts, "text", lambda n, c=changed, w=name: c if n == w else ships(n)
            )
            with pytest.raises(TargetRefused, match="not of the package"):
                scripts.run(here, Secret(PASSWORD), started, asked)
    assert machine.state == before
    monkeypatch.setattr(scripts, "text", ships)
    assert scripts.run(here, Secret(PASSWORD), "read", {"items": []})["values"] == []


def _connect(here: config.Machine, file: Path) -> object:
    return kernellab.connect("my-vm", program=file)


def _fresh(here: config.Machine, file: Path) -> object:
    return kernellab.connect("my-vm", program=file, fresh=True)


def _put(here: config.Machine, file: Path) -> None:
    target.put(here, Secret(PASSWORD), r"C:\x.bin", b"data")


def _look(here: config.Machine, file: Path) -> object:
    return prepare.look(here, Secret(PASSWORD), [])


def _restart(here: config.Machine, file: Path) -> None:
    prepare.restart(here, Secret(PASSWORD))


def _power(here: config.Machine, file: Path) -> object:
    return target.power_of(here)


@pytest.mark.parametrize("entry", [_connect, _fresh, _put, _look, _restart, _power])
def test_an_unmarked_machine_is_never_touched(
    entry: Callable[[config.Machine, Path], object],
    serve: Serve,
    vm: Any,
    agent: Path,
    tmp_path: Path,
) -> None:
    """No request is sent, and its virtualizer's program is not run."""
    server = serve()
    server.recorded = {"in": [], "out": []}
    ran = tmp_path / "ran"
    words = {name: ["touch", str(ran)] for name in ("start", "stop", "revert", "state")}
    power = "".join(f"{name} = {line!r}\n" for name, line in words.items())
    here = vm(server, f"[targets.my-vm.power]\nkind = 'commands'\n{power}", lab="false")
    with pytest.raises(NotALabMachine, match="lab-machine = true"):
        entry(here, agent)
    assert server.recorded["in"] == [] and not ran.exists()


def test_commands_do_not_touch_an_unmarked_machine(
    serve: Serve, vm: Any, hello: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve()
    server.recorded = {"in": [], "out": []}
    ran = tmp_path / "ran"
    power = f"[targets.my-vm.power]\nkind = 'commands'\nstate = ['touch', '{ran}']\n"
    vm(server, power, lab="false")
    for line in (
        ["run", str(hello), "--target", "my-vm"],
        ["target", "check", "my-vm"],
        ["target", "prepare", "my-vm", "--yes"],
        ["target", "prepare", "my-vm", "--undo", "--yes"],
        ["target", "power", "my-vm", "state"],
    ):
        assert cli.main(line) == 7, line
        assert "not marked as a lab machine" in capsys.readouterr().err
    assert server.recorded["in"] == [] and not ran.exists()
