"""``kernellab target add | check | prepare | install | …``: Windows machines that are targets."""

from __future__ import annotations

import argparse
import getpass
import json
import re
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from . import installing
from .errors import TargetLost, UsageError

if TYPE_CHECKING:
    from .target.config import Machine
    from .target.credentials import Secret
    from .target.winrm.prepare import Seen

#: Exit codes: all there, or done; something is missing, or there are changes that were not made.
OK, MISSING = 0, 1

#: What ``power`` does, each a method of :class:`~kernellab.target.power.base.Power`.
POWER: Final = {
    "start": "switch it on",
    "stop": "ask Windows to shut down; after a minute, switch it off",
    "reset": "press the reset button",
    "snapshot": "keep disk and memory as they are; one of the same name is replaced",
    "revert": "go back to a snapshot",
    "state": "print running, off, paused or unknown",
    "address": "print the address it is reached at, where the virtualizer knows it",
}

Add = Callable[[str, Callable[[argparse.Namespace], int]], argparse.ArgumentParser]


def add_commands(add: Add) -> None:
    """The parsers of all of them."""
    name = "the target's name"
    new = add("add", _add)
    new.add_argument("name", metavar="NAME", help=name)
    new.add_argument("--host", required=True, help="host name or address")
    new.add_argument("--user", required=True, help="an administrator there")
    new.add_argument("--port", type=int, help="WinRM's port (5986; with --http 5985)")
    new.add_argument("--http", action="store_true", help="HTTP; NTLM encrypts what goes over it")
    new.add_argument("--basic", action="store_true", help="Basic authentication (needs HTTPS)")
    trust = new.add_mutually_exclusive_group()
    trust.add_argument(
        "--certificate", type=Path, metavar="PEM", help="the machine's certificate to trust"
    )
    trust.add_argument(
        "--fetch-certificate",
        action="store_true",
        help="fetch the machine's certificate now, and trust it: compare what is printed",
    )
    new.add_argument(
        "--lab-machine",
        action="store_true",
        help="this machine is there for experiments: drivers may crash it",
    )
    new.add_argument("--global", dest="everywhere", action="store_true", help="for all projects")
    check = add("check", _check)
    check.add_argument("machine", metavar="NAME", help=name)
    check.add_argument("--json", action="store_true", help="one JSON object a check")
    prepare = add("prepare", _prepare)
    prepare.add_argument("machine", metavar="NAME", nargs="?", help=name)
    what = prepare.add_mutually_exclusive_group()
    what.add_argument("--undo", action="store_true", help="put back what prepare has changed")
    what.add_argument(
        "--script",
        action="store_true",
        help="print the PowerShell that switches WinRM on, to run on the machine itself",
    )
    prepare.add_argument("--yes", action="store_true", help="do not ask before changing anything")
    prepare.add_argument("--restart", action="store_true", help="restart the machine afterwards")
    installing.arguments(add("install", installing.install))
    power = add("power", _power)
    power.add_argument("machine", metavar="NAME", help=name)
    power.add_argument(
        "what", metavar="WHAT", choices=POWER, help="one of " + ", ".join(POWER) + ": see below"
    )
    power.add_argument(
        *("snapshot",),
        metavar="SNAPSHOT",
        nargs="?",
        help="the snapshot's name, for snapshot and revert (kernellab: the one of --fresh)",
    )
    power.formatter_class = argparse.RawDescriptionHelpFormatter
    power.epilog = "\n".join(["what there is:", *(f"  {n:9} {t}" for n, t in POWER.items())])
    password = add("password", _password)
    password.add_argument("machine", metavar="NAME", help=name)
    password.add_argument("--forget", action="store_true", help="remove it from the keyring")


def list_targets(given: argparse.Namespace) -> int:
    """List the configured targets and their state."""
    from .target import registry

    rows = []
    for name in registry.names():
        kind = registry.get(name)
        rows.append((name, kind.state(), kind.summary))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, state, summary in rows:
        print(f"{name:{widths[0]}}  {state:{widths[1]}}  {summary}")
    if any(state == "not asked" for _, state, _ in rows):
        print("`kernellab target check NAME` asks a machine.")
    return OK


def _machine(name: str) -> Machine:
    from .target import config

    machines = config.machines()
    if name not in machines:
        there = ", ".join(machines) or "none yet: `kernellab target add`"
        raise UsageError(f"kernellab.toml names no machine {name!r}; there are: {there}")
    return machines[name]


def _add(given: argparse.Namespace) -> int:
    """Name a Windows machine as a target: writes kernellab.toml here, or the user's own."""
    from .target import config

    path = config.user_file() if given.everywhere else Path.cwd() / config.FILE
    scheme = "http" if given.http else "https"
    port = given.port or (5985 if given.http else 5986)
    certificate: Path | None = given.certificate
    if certificate is not None and not certificate.is_file():
        raise UsageError(f"there is no {certificate}")
    if given.fetch_certificate:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", given.name) or given.http:
            raise UsageError("a certificate is fetched of a machine with HTTPS and a plain name")
        certificate = _fetch(given.host, port, path.parent / f"{given.name}.pem")
    machine = config.Machine(
        name=given.name,
        host=given.host,
        user=given.user,
        scheme=scheme,
        port=port,
        auth="basic" if given.basic else "ntlm",
        certificate=certificate.resolve() if certificate else None,
        lab_machine=given.lab_machine,
    )
    config.add(path, machine)
    print(f"{path}: {machine.name} is {machine.url}")
    if not machine.lab_machine:
        print("It is not marked as a lab machine, so nothing touches it: lab-machine = true")
    print(
        f"Next: `kernellab target password {machine.name}`, `kernellab target check {machine.name}`"
    )
    return OK


def _fetch(host: str, port: int, path: Path) -> Path:
    """The certificate that a host shows now, in a file; its fingerprint is printed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    try:
        text = ssl.get_server_certificate((host, port), timeout=10)
    except (OSError, ValueError) as error:
        raise TargetLost(f"{host}:{port} shows no certificate: {error}") from None
    certificate = x509.load_pem_x509_certificate(text.encode())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    digest = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
    print(f"{path}: {certificate.subject.rfc4514_string()}\n  SHA-256 {digest}")
    print("  Compare it with the machine's own: whoever answered is trusted from now on.")
    return path


def _check(given: argparse.Namespace) -> int:
    """Look whether a machine is ready, and say how to mend what is missing; changes nothing."""
    from .target.winrm import prepare

    machine = _machine(given.machine)
    findings = prepare.check(machine, _look(machine))
    for each in findings:
        if given.json:
            fields = {"title": each.title, "ok": each.ok, "found": each.found}
            print(json.dumps(fields | ({} if each.ok else {"mend": each.mend})))
            continue
        print(f"{'ok     ' if each.ok else 'MISSING'}  {each.title}: {each.found}")
        if not each.ok:
            print(f"           {each.mend}")
    return OK if all(each.ok for each in findings) else MISSING


def _look(machine: Machine) -> Seen:
    from .build import signing
    from .target import credentials
    from .target.winrm import prepare, settings
    from .target.winrm.target import require_lab

    require_lab(machine)  # before anybody is asked for a password
    who = signing.identity()
    wanted = settings.settings(who.der, who.thumbprint)
    return prepare.look(machine, credentials.password(machine), wanted)


def _prepare(given: argparse.Namespace) -> int:
    """Make a machine ready: shows what it will change, and asks; --undo puts it back."""
    from .target import credentials
    from .target.winrm import prepare, scripts

    if given.script:
        print(scripts.text("first"), end="")
        return OK
    if given.machine is None:
        raise UsageError("the name of a target is missing (or --script)")
    machine = _machine(given.machine)
    seen = _look(machine)
    secret = credentials.password(machine)
    if given.undo:
        lines = [
            f"put back: {setting.title}: {'not set' if value is None else value}"
            for setting, value in prepare.kept(seen)
        ]
    else:
        lines = [f"change: {change}" for change in seen.changes]
    print("\n".join(lines) or f"{machine.name} is ready: there is nothing to change.")
    if lines:
        if not (given.yes or _agreed(f"Change this on {machine.host}?")):
            print("Nothing was changed.")
            return MISSING
        if given.undo:
            count = len(prepare.undo(machine, secret, seen))
        else:
            count = len(prepare.apply(machine, secret, seen))
        print(f"{count} {'setting' if count == 1 else 'settings'} changed on {machine.host}.")
    if not given.undo:
        for path in _put(machine, secret):
            print(f"put there: {path}")
    if given.restart:
        prepare.restart(machine, secret)
        print(f"{machine.host} restarts.")
    elif lines:
        print("Some count after a restart only: --restart does that.")
    return OK


def _put(machine: Machine, secret: Secret) -> list[str]:
    """The agent and the signed capture driver, so that the first session finds them."""
    from . import guest
    from .target import registry
    from .target.winrm.target import agent_path, capture_path, put

    made = guest.prepare(registry.get(machine.name), {})
    agent, capture = made["agent"].read_bytes(), made["capture"]
    files = {agent_path(agent): agent, capture_path(capture): capture}
    for path, data in files.items():
        put(machine, secret, path, data)
    return list(files)


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to be asked: --yes says yes")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _power(given: argparse.Namespace) -> int:
    """Switch a virtual machine on or off, reset it, make a snapshot, go back to one."""
    from .target.power.base import SNAPSHOT
    from .target.winrm.target import power_of

    named = given.what in ("snapshot", "revert")
    if given.snapshot is not None and not named:
        raise UsageError(f"{given.what} takes no snapshot: what is {given.snapshot!r}?")
    vm = power_of(_machine(given.machine))
    if given.what == "address":
        if not (address := vm.address()):
            print(f"{given.machine}: its address is not known from outside", file=sys.stderr)
            return MISSING
        print(address)
    elif given.what == "state":
        print(vm.state())
    else:
        words = [given.snapshot or SNAPSHOT] if named else []
        getattr(vm, given.what)(*words)
        print(f"{given.machine}: {vm.state()}")
    return OK


_ENTER: Final = "Password of {} on {} (goes into the system's keyring): "


def _password(given: argparse.Namespace) -> int:
    """Keep a machine's password in the system's keyring."""
    from .target import credentials

    machine = _machine(given.machine)
    if given.forget:
        was = credentials.forget(machine)
        print("Forgotten." if was else "There was none.")
        return OK
    if sys.stdin.isatty():
        typed = credentials.Secret(getpass.getpass(_ENTER.format(machine.user, machine.host)))
    else:  # from another program, as a line
        typed = credentials.Secret(sys.stdin.readline().rstrip("\r\n"))
    if not typed:
        raise UsageError("no password was given")
    print(f"Kept in {credentials.remember(machine, typed)}.")
    return OK
