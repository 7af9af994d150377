"""Wine's folders ("prefixes"): one is made once, each session gets a clone of it.

A clone has Wine's own programs as hard links and all else as copies. It has no drive but ``C:``,
and none of its folders is a link to the user's.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from kernellab.errors import TargetLost

from . import guard
from .installed import Wine

#: Called with (done, total, text) while something takes long.
Progress = Callable[[int, int, str], None]

#: Bump when what a template is made of changes.
RECIPE: Final = 1

#: Services of Wine's that drivers do not need, and that cost each session its start.
_NOT_STARTED: Final = ("PlugPlay", "MountMgr", "NDIS", "nsiproxy", "Eventlog")

#: What a template that is made has: seconds at most.
_MAKING: Final = 180.0

_LINKED: Final = frozenset(
    ".dll .exe .sys .drv .ocx .cpl .nls .ttf .acm .ax .com .tlb .msstyles .vxd .ds .dll16 .drv16"
    " .exe16 .mod16 .winmd .inf".split()
)


def environment(prefix: Path) -> dict[str, str]:
    """What Wine's programs get: nothing of the user's own Wine, no window, no noise."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("WINE") and key not in ("DISPLAY", "WAYLAND_DISPLAY")
    }
    return {
        **kept,
        "WINEPREFIX": str(prefix),
        "WINEDEBUG": "-all",
        "WINEDLLOVERRIDES": "mscoree=d;mshtml=d;winemenubuilder.exe=d;explorer.exe=d",
    }


def template(folder: Path, wine: Wine) -> Path:
    """Where the template for this Wine is, or would be."""
    asked = f"{RECIPE} {wine.version} {wine.loader.resolve()}"
    return folder / f"template-{hashlib.sha256(asked.encode()).hexdigest()[:12]}"


def is_made(folder: Path, wine: Wine) -> bool:
    """Whether the template is there."""
    return (template(folder, wine) / "system.reg").is_file()


def ensure(folder: Path, wine: Wine, progress: Progress | None = None) -> Path:
    """The template, made where it is missing (about 10 s, once). Raises TargetLost."""
    place = template(folder, wine)
    if is_made(folder, wine):
        return place
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "template.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if is_made(folder, wine):
                return place
            if progress is not None:
                progress(0, 1, f"making a Wine {wine.version} machine, once (about 15 s)")
            _make(folder, place, wine)
            if progress is not None:
                progress(1, 1, f"the Wine {wine.version} machine is made")
    except OSError as error:
        raise TargetLost(f"a Wine machine cannot be made in {folder}: {error}") from error
    return place


def _make(folder: Path, place: Path, wine: Wine) -> None:
    session = Path(tempfile.mkdtemp(prefix="making-", dir=folder))
    prefix = session / guard.PREFIX
    prefix.mkdir()
    env = {**environment(prefix), "HOME": str(session)}
    quiet = subprocess.DEVNULL
    try:
        for words in (["wineboot", "-i"], ["winecfg", "/v", "win10"]):
            answer = subprocess.run(
                [wine.loader, *words],
                env=env,
                cwd=session,
                stdin=quiet,
                stdout=quiet,
                stderr=quiet,
                timeout=_MAKING,
                check=False,
                start_new_session=True,
            )
            if answer.returncode:
                raise TargetLost(f"Wine cannot make a machine: {words[0]} ended with an error")
        # It writes the registry when all have ended.
        subprocess.run([wine.server, "-k"], env=env, check=False, timeout=20)
        subprocess.run([wine.server, "-w"], env=env, check=False, timeout=20)
        if not (prefix / "system.reg").is_file():
            raise TargetLost("Wine made a machine without a registry")
        _without_services(prefix / "system.reg")
        shutil.rmtree(place, ignore_errors=True)  # incomplete: without a registry
        prefix.rename(place)
    except subprocess.TimeoutExpired:
        raise TargetLost(f"Wine made no machine within {_MAKING:g} s") from None
    finally:
        guard.sweep(session)


def _without_services(registry: Path) -> None:
    """Have Wine start none of the services that drivers do not need."""
    text = registry.read_text(encoding="latin-1")
    for name in _NOT_STARTED:
        head = rf"(^\[System\\\\CurrentControlSet\\\\Services\\\\{name}\][^\[]*?\"Start\"=dword:)"
        text = re.sub(head + r"[0-9a-f]{8}", r"\g<1>00000004", text, flags=re.M | re.I)
    registry.write_text(text, encoding="latin-1")


def clone(folder: Path, made: Path) -> Path:
    """A new session's folder, with a clone of the template in it; :mod:`.guard` deletes it."""
    clean(folder)
    session = Path(tempfile.mkdtemp(prefix="session-", dir=folder))
    try:
        _copy(made, session / guard.PREFIX)
        drives = session / guard.PREFIX / "dosdevices"
        drives.mkdir()
        (drives / "c:").symlink_to("../drive_c")
    except OSError as error:
        shutil.rmtree(session, ignore_errors=True)
        raise TargetLost(f"the Wine machine cannot be cloned in {folder}: {error}") from error
    return session


def _copy(source: Path, target: Path) -> None:
    target.mkdir()
    for entry in os.scandir(source):
        to = target / entry.name
        if entry.is_symlink():
            if entry.name != "dosdevices" and target.parent.name != "dosdevices":
                to.mkdir()  # a link to the user's own Documents, say
        elif entry.is_dir():
            if entry.name != "dosdevices":
                _copy(Path(entry.path), to)
        elif to.suffix.lower() in _LINKED:
            os.link(entry.path, to)
        else:
            shutil.copyfile(entry.path, to)


def clean(folder: Path) -> None:
    """Delete sessions that nobody looks after any more: their guard was killed."""
    for session in _sessions(folder):
        with contextlib.suppress(OSError), (session / guard.LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            guard.sweep(session)


def _sessions(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            if entry.name.startswith("session-") and entry.is_dir(follow_symlinks=False):
                yield Path(entry.path)
