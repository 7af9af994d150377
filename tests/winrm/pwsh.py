"""What powershell.exe is on the test machine: it knows the package's scripts, and nothing else.

A script that differs from the package's by one character is refused. What a script means is done
here in Python, on the machine's drive and state; that the scripts are PowerShell at all is
:mod:`tests.winrm.test_powershell`'s to say.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import json
import re
import shutil
import sys
from pathlib import Path, PureWindowsPath
from typing import Any, NoReturn

SCRIPTS = Path(__file__).parents[2] / "kernellab" / "target" / "winrm" / "powershell"


def refuse(why: str) -> NoReturn:
    sys.stderr.write(f"this PowerShell is not of the package: {why}\n")
    sys.exit(1)


def script(encoded: str, form: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode(form)
    except (binascii.Error, UnicodeDecodeError):
        refuse("not encoded")


def main() -> None:
    root, drive, *words = sys.argv[1:]
    fixed = "-NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand".split()
    if words[:-1] != fixed:
        refuse(f"started with {words[:6]}")
    run = (SCRIPTS / "run.ps1").read_text(encoding="utf-8")
    lines = [line.strip() for line in run.splitlines() if line.strip()]
    wanted = "\n".join(line for line in lines if not line.startswith("#"))
    if script(words[-1], "utf-16-le") != wanted:
        refuse("another command")
    given = sys.stdin.buffer.read().decode("ascii").splitlines()
    code = script(given[0], "utf-8")
    names = {p.read_text(encoding="utf-8"): p.stem for p in SCRIPTS.glob("*.ps1")}
    name = names.get(code)
    if name is None or name not in MEANINGS:
        refuse("an unknown script")
    machine = Machine(Path(root), Path(drive))
    data = [base64.b64decode(line, validate=True) for line in given[2:]]
    try:
        word, answer = (
            "answer",
            MEANINGS[name](machine, json.loads(script(given[1], "utf-8")), data),
        )
    except RuntimeError as error:
        word, answer = "failed", {"message": str(error), "at": ""}
    machine.save()
    print("kernellab", word, base64.b64encode(json.dumps(answer).encode()).decode())


class Machine:
    def __init__(self, root: Path, drive: Path) -> None:
        self.root, self.drive = root, drive
        self.state: dict[str, Any] = json.loads((root / "state.json").read_text())
        self._before = json.dumps(self.state)

    def save(self) -> None:
        if json.dumps(self.state) != self._before:
            (self.root / "state.json").write_text(json.dumps(self.state))

    def path(self, windows: str) -> Path:
        return self.drive.joinpath(*PureWindowsPath(windows).parts[1:])

    @property
    def marked(self) -> bool:
        value = self.state["registry"].get(r"HKLM:\SOFTWARE\kernellab|LabMachine")
        return bool(value == ["DWord", 1])


def put(machine: Machine, asked: dict[str, Any], data: list[bytes]) -> dict[str, Any]:
    if not machine.marked:
        return {"marked": False}
    if machine.state.get("disk_full"):
        raise RuntimeError("There is not enough space on the disk.")
    content = b"".join(data)
    found = hashlib.sha256(content).hexdigest()
    if found == asked["sha256"]:
        path = machine.path(asked["path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return {"marked": True, "sha256": found}


def _kept(machine: Machine, item: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Where in the state an item is, and under which name there."""
    kind = item["kind"]
    if kind == "registry":
        return machine.state["registry"], f"{item['path']}|{item['name']}"
    if kind == "certificate":
        return machine.state["certificates"], f"{item['path']}|{item['name']}"
    return machine.state[kind], item["name"]


def read(machine: Machine, asked: dict[str, Any], data: list[bytes]) -> dict[str, Any]:
    values = []
    for item in asked["items"]:
        place, name = _kept(machine, item)
        value = place.get(name)
        if item["kind"] == "registry" and value:
            value = value[1]
        elif item["kind"] == "certificate" and value:
            value = "present"
        values.append(value)
    facts = dict(machine.state["facts"])
    facts["clock"] = (dt.datetime.now(dt.UTC) + dt.timedelta(0, facts.pop("clock_off"))).isoformat()
    return {"facts": facts, "values": values}


def write(machine: Machine, asked: dict[str, Any], data: list[bytes]) -> dict[str, Any]:
    if not machine.state["facts"]["administrator"]:
        raise RuntimeError("Requested registry access is not allowed.")
    for item in asked["items"]:
        if item["kind"] == "folder":
            shutil.rmtree(machine.path(r"C:\ProgramData\kernellab"), ignore_errors=True)
            continue
        place, name = _kept(machine, item)
        if item["value"] is None:
            place.pop(name, None)
        elif item["kind"] == "registry":
            place[name] = [item["type"], item["value"]]
        elif item["kind"] == "bcd":
            if not re.fullmatch("on|off", str(item["value"])):
                raise RuntimeError("The integer data is not valid as specified.")
            if machine.state["facts"]["secure_boot"]:
                raise RuntimeError("The value is protected by Secure Boot policy.")
            place[name] = item["value"]
        else:
            place[name] = item["value"]
    return {"written": len(asked["items"])}


def restart(machine: Machine, asked: dict[str, Any], data: list[bytes]) -> dict[str, Any]:
    machine.state["boots"] += 1
    on = machine.state["bcd"].get("testsigning") == "on"
    machine.state["facts"]["start_options"] = " NOEXECUTE=OPTIN" + "  TESTSIGNING" * on
    return {"restarting": True}


def dump(machine: Machine, asked: dict[str, Any], data: list[bytes]) -> dict[str, Any]:
    folder = machine.path(r"C:\Windows\Minidump")
    files = sorted(folder.glob("*.dmp"), key=lambda p: p.stat().st_mtime)
    now = dt.datetime.now().timestamp() + machine.state["facts"]["clock_off"]
    if (known := asked.get("known")) is not None:
        files = [file for file in files if file.name not in known]
    else:
        files = [file for file in files if now - file.stat().st_mtime <= asked["seconds"]]
    if not files:
        return {"uptime": 0.0, "name": "", "data": ""}
    content = base64.b64encode(files[-1].read_bytes()).decode()
    return {"uptime": 0.0, "name": files[-1].name, "data": content}


MEANINGS = {"dump": dump, "put": put, "read": read, "write": write, "restart": restart}

if __name__ == "__main__":
    main()
