"""The target kind of a configured Windows machine."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any, Final

from ...errors import (
    CredentialsError,
    NotALabMachine,
    PowerError,
    TargetLost,
    TargetRefused,
    UsageError,
)
from .. import kd_line
from ..base import Endpoint, TargetKind
from ..config import Machine
from ..credentials import Secret, forget_typed, password
from ..power.base import Power, power
from ..steps import step
from . import scripts
from .channel import NO_FILE
from .endpoint import WinRMEndpoint

#: Where the agent is kept on a machine, by what is in it.
FOLDER: Final = r"C:\ProgramData\kernellab"

#: Seconds until an agent that was started answers; a virus scanner may look at it first.
_FIRST_ANSWER: Final = 30.0


class WinRM(TargetKind):
    """A Windows machine reached over WinRM, as ``kernellab.toml`` names it."""

    wants_agent = True
    wants_signature = True
    wants_capture = True

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.name = machine.name
        self.summary = f"Windows on {machine.host}, over WinRM ({machine.place})"

    def start(self, **options: Any) -> Endpoint:
        """Start the agent, which is put there first where it, or this one of it, is not yet.

        ``agent`` is the path of its program, or ``program`` that of another one to run instead.
        ``arguments`` are its command line's, on Wine ``--wine``. ``capture`` is the signed image of
        the capture driver, which the agent loads; a warning says where it cannot.
        ``fresh`` is the name of the snapshot that a virtual machine is taken back to before.
        """
        agent = options.pop("agent", None)
        options.pop("folder", None)  # the cache, which nothing here needs
        capture: bytes | None = options.pop("capture", None)
        agent = options.pop("program", None) or agent
        fresh, words = options.pop("fresh", False), str(options.pop("arguments", ""))
        if options:
            raise UsageError(f"{self.name} does not take {', '.join(options)}")
        if not isinstance(agent, str | Path):
            raise TargetLost("there is no guest agent to put on the machine")
        require_lab(self.machine)
        witness = None
        if self.machine.kd:  # before it is started: what is printed at boot is heard
            witness = kd_line.line(kd_line.where(self.machine.kd, self.machine.folder))
        if fresh:
            self._revert(str(fresh))
        step(f"connecting to {self.machine.host}")
        image = Path(agent).read_bytes()
        program, secret = agent_path(image), password(self.machine)
        try:
            if capture is not None:
                words = f"{words} --capture {capture_path(capture)}".lstrip()
            endpoint = self._started(secret, program, words)
            if endpoint is None:
                step(f"putting the agent on {self.machine.host}")
                put(self.machine, secret, program, image)
                endpoint = self._started(secret, program, words)
            if capture is not None and endpoint is not None and endpoint.capture == "missing":
                endpoint.stop()
                step(f"putting the capture driver on {self.machine.host}")
                put(self.machine, secret, capture_path(capture), capture)
                endpoint = self._started(secret, program, words)
        except CredentialsError:
            forget_typed(self.machine)
            raise
        if endpoint is None:
            raise TargetLost(f"{program} was put on {self.machine.host} and does not start there")
        if endpoint.capture not in ("", "on") and not endpoint.capture.startswith("unsupported"):
            warnings.warn(
                f"DbgPrint on {self.name} is not captured: {endpoint.capture}", stacklevel=2
            )
        if witness is not None:
            witness.began(only=endpoint.capture not in ("", "on"))
            endpoint.witness = witness
        return endpoint

    def fresh(self, snapshot: str) -> dict[str, Any]:
        power_of(self.machine)  # there has to be a switch
        return {"fresh": snapshot}

    def _revert(self, snapshot: str) -> None:
        vm = power_of(self.machine)
        step(f"taking {self.name} back to the snapshot {snapshot}")
        vm.revert(snapshot)
        vm.start()
        step(f"waiting until {self.machine.host} answers")
        scripts.wait(self.machine, password(self.machine), self.machine.patience)

    def _started(self, secret: Secret, program: str, words: str) -> WinRMEndpoint | None:
        """The running agent, or None where there is no such file."""
        try:
            endpoint = WinRMEndpoint(self.machine, secret, program, words)
        except TargetRefused as refused:
            if refused.fault == NO_FILE:
                return None
            raise
        try:
            if endpoint.speaks(_FIRST_ANSWER):
                return endpoint
        except BaseException as error:
            endpoint.stop(grace=0.5 if isinstance(error, Exception) else 0)
            raise
        endpoint.stop()
        # Newer systems put cmd.exe between, which says what it does not find and ends with 1.
        if endpoint.exit_code is None:
            raise endpoint.cause() or TargetLost("the agent does not answer")
        return None

    def state(self) -> str:
        return "not asked" if self.machine.lab_machine else "not a lab machine"


def agent_path(image: bytes) -> str:
    """Where the agent is kept on a machine."""
    return rf"{FOLDER}\agent-{hashlib.sha256(image).hexdigest()[:16]}.exe"


def capture_path(image: bytes) -> str:
    """Where the capture driver is kept on a machine; no spaces are in it."""
    return rf"{FOLDER}\dbgtap-{hashlib.sha256(image).hexdigest()[:16]}.sys"


def power_of(machine: Machine) -> Power:
    """The machine's power switch. Raises PowerError where ``kernellab.toml`` names none."""
    require_lab(machine)
    if machine.power is None:
        raise PowerError(
            f"{machine.name} has no power table in {machine.place or 'kernellab.toml'}, so nobody "
            'knows how to switch it, or where its snapshots are: docs/windows-vm.md, "Power and '
            'snapshots"'
        )
    return power(machine.power, machine.folder)


def require_lab(machine: Machine) -> None:
    """Raises NotALabMachine where its owner has not said that it may be crashed."""
    if not machine.lab_machine:
        raise NotALabMachine(
            f"{machine.name} ({machine.host}) is not marked as a lab machine, so kernellab does "
            "not touch it. Drivers that are tried there can crash it and damage what it has; where "
            f"that may happen, write lab-machine = true in {machine.place or 'kernellab.toml'}"
        )


def put(machine: Machine, secret: Secret, path: str, data: bytes) -> None:
    """Write a file there, checked by its SHA-256. Raises NotALabMachine for an unmarked one."""
    require_lab(machine)
    wanted = hashlib.sha256(data).hexdigest()
    answer = scripts.run(machine, secret, "put", {"path": path, "sha256": wanted}, data)
    if answer.get("marked") is not True:
        raise NotALabMachine(
            f"{machine.host} does not carry the mark of a lab machine: is it the right one? "
            f"`kernellab target prepare {machine.name}` shows what it would change there, and "
            "marks it"
        )
    if answer.get("sha256") != wanted:
        raise TargetRefused(f"{path} arrived damaged on {machine.host}")
