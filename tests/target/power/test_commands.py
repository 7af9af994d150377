"""A virtualizer by its program: here a small one of ours that keeps its state in a file."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from kernellab import cli
from kernellab.errors import PowerError
from kernellab.target import config
from kernellab.target.power.base import OFF, PAUSED, RUNNING, UNKNOWN, check, power

PROGRAM = """
import pathlib, sys
state = pathlib.Path(sys.argv[1]); verb, *rest = sys.argv[2:]
now = state.read_text() if state.exists() else "shut off"
snaps = state.parent / "snaps"; snaps.mkdir(exist_ok=True)
if verb == "state": print("State:   " + now)
elif verb == "start": state.write_text("running")
elif verb == "kill" or (verb == "stop" and now != "deaf"): state.write_text("shut off")
elif verb == "snap": (snaps / rest[0]).open("x").write(now)
elif verb == "drop": (snaps / rest[0]).unlink()
elif verb == "back": state.write_text((snaps / rest[0]).read_text())
elif verb == "ip": print("vnet0  ipv4  192.168.122.50/24")
elif verb == "reset": sys.exit("the machine is on fire")
"""


@pytest.fixture
def table(tmp_path: Path) -> dict[str, Any]:
    program = tmp_path / "virt.py"
    program.write_text(PROGRAM)
    start = [sys.executable, str(program), str(tmp_path / "state")]
    return {
        **{"kind": "commands", "running": "running|deaf", "off": "shut off", "paused": "paused"},
        **{key: [*start, key] for key in ("start", "stop", "kill", "reset", "state")},
        **{"snapshot": [*start, "snap", "{snapshot}"], "revert": [*start, "back", "{snapshot}"]},
        **{"delete-snapshot": [*start, "drop", "{snapshot}"], "address": [*start, "ip"]},
    }


def test_a_machine_by_commands(table: dict[str, Any], tmp_path: Path) -> None:
    vm = power(table, tmp_path)
    assert vm.state() == OFF
    vm.start()
    assert vm.state() == RUNNING
    vm.snapshot()
    vm.snapshot()  # replaces
    vm.stop()
    assert vm.state() == OFF
    vm.revert()
    assert vm.state() == RUNNING
    assert vm.address() == "192.168.122.50"
    (tmp_path / "state").write_text("deaf")
    vm.stop(grace=0)
    assert vm.state() == OFF
    for text, state in (("paused", PAUSED), ("?", UNKNOWN)):
        (tmp_path / "state").write_text(text)
        assert vm.state() == state


def test_what_goes_wrong(table: dict[str, Any], tmp_path: Path) -> None:
    vm = power(table, tmp_path)
    with pytest.raises(PowerError, match="ended with 1: the machine is on fire"):
        vm.reset()
    for name in ("--help", "a/b", "$(x)", "", "x" * 99):
        if name:
            with pytest.raises(PowerError, match="no name for a snapshot"):
                vm.snapshot(name)
    with pytest.raises(PowerError, match="cannot run /no/such"):
        power({"kind": "commands", "start": ["/no/such"]}, tmp_path).start()
    with pytest.raises(PowerError, match="no command 'reset'"):
        power({"kind": "commands", "start": ["x"]}, tmp_path).reset()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "kind of power"),
        ({"kind": "magic"}, "kind of power"),
        ({"kind": "qemu"}, "socket of power is missing"),
        ({"kind": "qemu", "socket": 3}, "has to be text"),
        ({"kind": "qemu", "socket": ""}, "is empty"),
        ({"kind": "commands", "start": "virsh start vm"}, "a list of words"),
        ({"kind": "commands", "start": [1]}, "a list of words"),
        ({"kind": "commands", "begin": ["x"]}, "unknown key 'begin'"),
    ],
)
def test_mistakes_in_the_table(table: dict[str, Any], words: str) -> None:
    assert words in check(table)


def test_on_the_command_line(
    table: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    power_lines = "".join(f"{key} = {value!r}\n" for key, value in table.items())
    (tmp_path / "kernellab.toml").write_text(
        '[targets.vm]\nhost = "h"\nuser = "u"\nlab-machine = true\n'
        f'[targets.vm.power]\nrevert-from = "off"\n{power_lines}'
    )
    monkeypatch.setenv(config.VARIABLE, str(tmp_path / "kernellab.toml"))

    def run(*words: str) -> tuple[int, str]:
        code = cli.main(["target", "power", "vm", *words])
        out, error = capsys.readouterr()
        return code, out + error

    assert run("state") == (0, "off\n")
    assert run("start") == (0, "vm: running\n")
    assert run("snapshot", "clean") == (0, "vm: running\n")
    assert run("stop") == (0, "vm: off\n")
    assert run("revert", "clean") == (0, "vm: running\n")
    assert run("address") == (0, "192.168.122.50\n")
    assert run("reset")[0] == 7
    code, said = run("revert")
    assert code == 7 and "revert" in said  # there is no snapshot called kernellab
    assert run("state") == (0, "off\n"), "it was switched off before, as it has to be"
    assert run("start", "clean")[0] == 2
    with pytest.raises(SystemExit):
        run("explode")


def test_the_tables_in_the_documents_are_right() -> None:
    text = (Path(__file__).parents[3] / "docs" / "windows-vm.md").read_text(encoding="utf-8")
    found = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL)]
    tables = [each["targets"]["my-vm"]["power"] for each in found if "power" in str(each)]
    assert {table["kind"] for table in tables} == {"qemu", "commands"}
    assert [check(table) for table in tables] == [""] * len(tables)
