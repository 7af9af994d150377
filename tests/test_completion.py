"""Tab completion of the command line."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from kernellab import cli
from kernellab.target import config


@pytest.fixture(autouse=True)
def _machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kernellab.toml"
    path.write_text('[targets.my-vm]\nhost = "h"\nuser = "u"\n')
    monkeypatch.setenv(config.VARIABLE, str(path))


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("run x.rs --target ", ["my-vm", "sim", "wine"]),
        ("compare x.rs --targets sim,", ["sim,my-vm", "sim,wine"]),
        ("run --target s", ["sim"]),
        ("run --fr", ["--fresh"]),
        ("run -t wine x", []),  # a file's name: the shell's own
        ("target p", ["password", "power", "prepare"]),
        ("target check ", ["my-vm"]),
        ("target power my-vm st", ["start", "state", "stop"]),
        ("target power my-vm revert ", []),
        ("test x.rs --no-verify leak-p", ["leak-pool"]),
        ("completion ", ["bash", "fish", "zsh"]),
    ],
)
def test_what_can_follow(line: str, found: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["complete", "--", *line.split(" ")]) == 0
    assert capsys.readouterr().out.split() == found


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_the_shells(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    if (program := shutil.which(shell)) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([program, "-n"], input=script, text=True, check=True, timeout=30)
