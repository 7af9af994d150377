"""``kernellab.toml``: the Windows machines that a project or a user names as targets.

::

    [targets.my-vm]
    host = "192.168.122.50"
    user = "lab"
    lab-machine = true          # drivers may crash it
    certificate = "my-vm.pem"   # what to trust; the system's authorities unless given

It is looked for in the current folder and those above it (the project's), then in the user's own
folder; the project's targets hide the user's of the same name. ``KERNELLAB_CONFIG`` names one file
to use instead. No password is ever in it: see :mod:`.credentials`.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import ConfigError

FILE: Final = "kernellab.toml"
VARIABLE: Final = "KERNELLAB_CONFIG"

#: What a target has to say before a password goes over a connection that anybody can read.
PLAIN_TEXT: Final = "my password and everything else may be read on the network"

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252})|\[?[0-9A-Fa-f:.]+\]?")
_TAKEN: Final = frozenset({"sim", "wine", "winrm"})
_PORTS: Final = {"https": 5986, "http": 5985}


@dataclass(frozen=True, slots=True)
class Machine:
    """One Windows machine, as configured; times in seconds."""

    name: str
    host: str
    user: str
    scheme: str = "https"
    port: int = 5986
    #: ``ntlm`` or ``basic``.
    auth: str = "ntlm"
    #: A PEM file: the machine's own certificate or its authority's. None: the system's.
    certificate: Path | None = None
    #: Whether its owner says that it is there to be crashed. Others are never touched.
    lab_machine: bool = False
    #: The sentence :data:`PLAIN_TEXT`, or nothing.
    plain_text: str = ""
    #: Seconds that a lost network or a reboot may take before the target counts as lost.
    patience: float = 90.0
    #: How a virtual machine is switched on and off: see :mod:`.power.base`.
    power: Mapping[str, Any] | None = None
    #: Where its serial port of kernel debugging is: ``HOST:PORT`` or a Unix socket.
    kd: str = ""
    #: Where the file is; its paths are relative to that.
    folder: Path = Path()
    #: Where it is written, for messages: ``kernellab.toml:3``.
    place: str = ""

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host and self.host[0] != "[" else self.host
        return f"{self.scheme}://{host}:{self.port}/wsman"


_KEYS: Final[Mapping[str, tuple[type, ...]]] = {
    **{"host": (str,), "user": (str,), "scheme": (str,), "port": (int,), "auth": (str,)},
    **{"certificate": (str,), "lab-machine": (bool,), "plain-text": (str,)},
    **{"patience": (int, float), "power": (dict,), "kd": (str,)},
}
_WORDS: Final = {str: "text", int: "a whole number", bool: "true or false", float: "a number"} | {
    dict: "a table"
}
_SECRET: Final = frozenset({"password", "passwd", "pass", "secret", "token"})


def files() -> Iterator[Path]:
    """The files there are, the one that counts most first."""
    named = os.environ.get(VARIABLE)
    if named:
        path = Path(named)
        if not path.is_file():
            raise ConfigError(f"{VARIABLE} names {named}, and there is no such file", file=named)
        yield path
        return
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / FILE).is_file():
            yield folder / FILE
            break
    if user_file().is_file():
        yield user_file()


def user_file() -> Path:
    """The user's own file, there or not."""
    from platformdirs import user_config_path

    return user_config_path("kernellab", appauthor=False) / FILE


def machines() -> dict[str, Machine]:
    """All configured machines by name. Raises ConfigError with file and line for a mistake."""
    found: dict[str, Machine] = {}
    for path in files():
        for machine in read(path):
            found.setdefault(machine.name, machine)
    return found


def read(path: Path) -> list[Machine]:
    """The machines in one file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}", file=str(path)) from None
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"at line (\d+)", str(error))
        line = int(match[1]) if match else text.count("\n") + 1
        raise _mistake(path, line, f"not TOML: {error}") from None
    lines = _Lines(text)
    targets = tables.get("targets", {})
    if not isinstance(targets, dict):
        raise _mistake(path, lines.of("targets"), "targets has to be a table: [targets.NAME]")
    return [_machine(path, lines, name, table) for name, table in targets.items()]


def _machine(path: Path, lines: _Lines, name: str, table: Any) -> Machine:
    def wrong(key: str, message: str) -> ConfigError:
        return _mistake(path, lines.of("targets", name, key), f"{message} (target {name!r})")

    if not isinstance(table, dict):
        raise wrong("", f"{name} has to be a table: [targets.{name}]")
    if not _NAME.fullmatch(name) or name.lower() in _TAKEN:
        taken = ", ".join(sorted(_TAKEN))
        raise wrong("", f"a target's name is letters, digits, - and _, and none of {taken}")
    for key, value in table.items():
        if key.lower() in _SECRET:
            raise wrong(
                key, "passwords do not belong in this file: see `kernellab target password`"
            )
        kinds = _KEYS.get(key)
        if kinds is None:
            raise wrong(key, f"unknown key {key!r}; there are: {', '.join(_KEYS)}")
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise wrong(key, f"{key} has to be {_WORDS[kinds[-1]]}")
    for key in ("host", "user"):
        if not table.get(key):
            raise wrong("", f"{key} is missing")
    if not _HOST.fullmatch(table["host"]):
        raise wrong(
            "host", f"{table['host']!r} is no host name or address (a port has its own key)"
        )
    scheme, auth = table.get("scheme", "https"), table.get("auth", "ntlm")
    if scheme not in _PORTS:
        raise wrong("scheme", 'scheme has to be "https" or "http"')
    if auth not in ("ntlm", "basic"):
        raise wrong("auth", 'auth has to be "ntlm" or "basic"')
    port = table.get("port", _PORTS[scheme])
    if not 0 < port < 65536:
        raise wrong("port", f"port {port} is not between 1 and 65535")
    said = table.get("plain-text", "")
    if said and said != PLAIN_TEXT:
        raise wrong("plain-text", f'plain-text has to be in these words: "{PLAIN_TEXT}"')
    if scheme == "http" and auth == "basic" and not said:
        raise wrong(
            "auth",
            "Basic over HTTP sends the password so that anybody on the way can read it. Use "
            'https, or auth = "ntlm", which encrypts what it sends; or say '
            f'plain-text = "{PLAIN_TEXT}"',
        )
    if "power" in table:
        _check_power(path, table["power"], wrong)
    certificate = path.parent / table["certificate"] if "certificate" in table else None
    if certificate is not None and not certificate.is_file():
        raise wrong("certificate", f"there is no {certificate}")
    patience = float(table.get("patience", 90))
    if not 0 <= patience <= 3600:
        raise wrong("patience", "patience has to be 0 to 3600 seconds")
    return Machine(
        name=name,
        host=table["host"],
        user=table["user"],
        scheme=scheme,
        port=port,
        auth=auth,
        certificate=certificate,
        lab_machine=table.get("lab-machine", False),
        plain_text=said,
        patience=patience,
        power=table.get("power"),
        kd=table.get("kd", ""),
        folder=path.parent,
        place=f"{path.name}:{lines.of('targets', name)}",
    )


def _check_power(
    path: Path, table: Mapping[str, Any], wrong: Callable[[str, str], ConfigError]
) -> None:
    from .power import base

    if message := base.check(table):
        raise wrong("power", message)
    trusted = path == user_file() or os.environ.get(VARIABLE) == str(path)
    if not trusted and (table["kind"] == "commands" or "command" in table):
        raise wrong(
            "power",
            "programs to run are taken from your own file only, since a project's may be "
            f"somebody else's: move this target to {user_file()}",
        )


def _mistake(path: Path, line: int, message: str) -> ConfigError:
    return ConfigError(f"{path}:{line}: {message}", file=str(path), line=line)


class _Lines:
    """On which line of a TOML file a key stands; tomllib does not tell."""

    def __init__(self, text: str) -> None:
        self._found: dict[tuple[str, ...], int] = {}
        table: tuple[str, ...] = ()
        for number, line in enumerate(text.splitlines(), 1):
            if match := re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]", line):
                table = _keys(match[1])
                self._note(table, number)
            elif match := re.match(
                r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'|\s*\.\s*)+?)\s*=""", line
            ):
                self._note((*table, *_keys(match[1])), number)

    def _note(self, path: tuple[str, ...], number: int) -> None:
        for depth in range(1, len(path) + 1):
            self._found.setdefault(path[:depth], number)

    def of(self, *path: str) -> int:
        """The line of a key, of the table it is missing in, or 1."""
        while path:
            if path in self._found:
                return self._found[path]
            path = path[:-1]
        return 1


def _keys(dotted: str) -> tuple[str, ...]:
    parts = re.findall(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""", dotted)
    return tuple(part.strip("\"'") for part in parts)


def entry(machine: Machine, folder: Path | None = None) -> str:
    """The machine as it is written into a file in ``folder``: what differs from the defaults."""
    import tomli_w

    table: dict[str, Any] = {"host": machine.host, "user": machine.user}
    if machine.scheme != "https":
        table["scheme"] = machine.scheme
    if machine.port != _PORTS[machine.scheme]:
        table["port"] = machine.port
    if machine.auth != "ntlm":
        table["auth"] = machine.auth
    if machine.plain_text:
        table["plain-text"] = machine.plain_text
    if machine.certificate is not None:
        file = machine.certificate
        beside = folder is not None and file.is_relative_to(folder)
        table["certificate"] = (file.relative_to(folder) if beside and folder else file).as_posix()
    table["lab-machine"] = machine.lab_machine
    return tomli_w.dumps({"targets": {machine.name: table}})


def add(path: Path, machine: Machine) -> None:
    """Append the machine to a file, which is made where it is not there; comments stay.

    Raises ConfigError where the name is taken, or where the file would not be right then.
    """
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    if before and any(each.name == machine.name for each in read(path)):
        raise ConfigError(f"{path} has a target {machine.name!r} already", file=str(path))
    gap = "" if not before else "\n" if before.endswith("\n") else "\n\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_text(before + gap + entry(machine, path.parent.resolve()), encoding="utf-8")
        read(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
