"""PowerShell on a machine: only scripts that the package has, what they are asked as data.

``powershell/run.ps1`` is what powershell.exe is started with; the script itself, its question and
data go over standard input, since a command line is short and no place for either.
"""

from __future__ import annotations

import base64
import json
import time
from functools import cache
from pathlib import Path
from typing import Any, Final

from ...errors import TargetLost, TargetRefused, TargetTimeout
from ..config import Machine
from ..credentials import Secret
from .channel import Channel, NothingYet, Unreachable

FOLDER: Final = Path(__file__).parent / "powershell"

#: Bytes of a file in one line of data.
LINE: Final = 48 * 1024

_SEND_MOST: Final = 96 * 1024


@cache
def text(name: str) -> str:
    """A script of the package."""
    return (FOLDER / f"{name}.ps1").read_text(encoding="utf-8").replace("\r\n", "\n")


def encoded(script: str) -> str:
    """A script as powershell.exe's -EncodedCommand takes it."""
    return base64.b64encode(script.encode("utf-16-le")).decode()


def command_line() -> str:
    """The arguments of powershell.exe for any script."""
    fixed = "-NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand "
    return fixed + encoded(_without_comments(text("run")))


def _without_comments(script: str) -> str:
    """Shorter: a command line over cmd.exe ends at 8,191 characters."""
    return "\n".join(s for line in script.splitlines() if (s := line.strip()) and s[0] != "#")


def run(
    machine: Machine,
    secret: Secret,
    name: str,
    asked: dict[str, Any],
    data: bytes = b"",
    *,
    timeout: float = 120.0,
) -> dict[str, Any]:
    """Run the script ``name`` on the machine and return what it answers.

    Raises TargetRefused with what PowerShell says where it fails, TargetTimeout after ``timeout``
    seconds, and what Channel raises.
    """
    channel = Channel(machine, secret)
    try:
        shell = channel.call(lambda p: p.open_shell(codepage=65001, idle_timeout="PT180S"))
        error: BaseException | None = None
        try:
            return _run(channel, shell, name, _input(name, asked, data), timeout)
        except BaseException as each:
            error = each
            raise
        finally:
            channel.leave(error, lambda p: p.close_shell(shell, close_session=False))
    finally:
        channel.close()


def wait(machine: Machine, secret: Secret, seconds: float) -> None:
    """Wait until its WinRM answers, after a start or a snapshot. Raises what it said last."""
    end = time.monotonic() + seconds
    while True:
        channel = Channel(machine, secret)
        try:
            channel.call(lambda p: p.close_shell(p.open_shell(), close_session=False))
            return
        except TargetLost as error:
            starting = isinstance(error, Unreachable) or getattr(error, "status", 0) == 503
            if not starting or time.monotonic() > end:
                raise
            time.sleep(0.5)
        finally:
            channel.close()


def _input(name: str, asked: dict[str, Any], data: bytes) -> bytes:
    lines = [text(name).encode(), json.dumps(asked).encode()]
    lines += [data[start : start + LINE] for start in range(0, len(data), LINE)]
    return b"".join(base64.b64encode(line) + b"\r\n" for line in lines)


def _run(channel: Channel, shell: str, name: str, given: bytes, timeout: float) -> dict[str, Any]:
    command = channel.call(
        lambda p: p.run_command(
            shell, "powershell.exe", [command_line()], console_mode_stdin=False, skip_cmd_shell=True
        )
    )
    for start in range(0, len(given), _SEND_MOST):
        part, end = given[start : start + _SEND_MOST], start + _SEND_MOST >= len(given)
        channel.call(
            lambda p, part=part, end=end: p.send_command_input(shell, command, part, end=end)  # type: ignore[misc]
        )
    out, errors, done = b"", b"", False
    limit = time.monotonic() + timeout
    while not done:
        try:
            more, error, _, done = channel.call(lambda p: p.get_command_output_raw(shell, command))
        except NothingYet:
            if time.monotonic() > limit:
                raise TargetTimeout(f"{name}.ps1 did not end within {timeout:g} s") from None
            continue
        out, errors = out + more, errors + error
    return _answer(name, out, errors)


def _answer(name: str, out: bytes, errors: bytes) -> dict[str, Any]:
    for line in out.decode("ascii", "replace").splitlines():
        word, _, rest = line.strip().partition(" ")
        kind, _, value = rest.partition(" ")
        if word != "kernellab":
            continue
        try:
            answer = json.loads(base64.b64decode(value, validate=True))
        except ValueError:
            break
        if isinstance(answer, dict) and kind == "answer":
            return answer
        if isinstance(answer, dict) and kind == "failed":
            raise TargetRefused(f"{name}.ps1 failed there: {answer.get('message')}")
        break
    said = " ".join((errors or out).decode("utf-8", "replace").split())[:300]
    raise TargetRefused(f"{name}.ps1 gave no answer: {said or 'nothing was printed'}")
