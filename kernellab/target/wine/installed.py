"""Find Wine on this computer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from kernellab.errors import TargetLost

#: Environment variable that names Wine's program, where it is not found by itself.
VARIABLE: Final = "KERNELLAB_WINE"

ADVICE: Final = (
    "Wine is not here: `kernellab setup --wine` installs it on Debian and Ubuntu (as root), or"
    " says how; KERNELLAB_WINE names one that is elsewhere"
)


@dataclass(frozen=True, slots=True)
class Wine:
    """Wine's 64-bit loader and its server, and the version it says."""

    loader: Path
    server: Path
    version: str


def find() -> Wine:
    """Wine on this computer. Raises TargetLost with what to do where there is none."""
    if not sys.platform.startswith("linux"):
        raise TargetLost("the wine target is for Linux; on this system, use sim or a Windows VM")
    return _find(os.environ.get(VARIABLE, ""), os.environ.get("PATH", ""))


def install() -> Wine:
    """Wine, installed by apt where it is missing and this is root on Debian or Ubuntu.

    Raises TargetLost with what to do elsewhere.
    """
    try:
        return find()
    except TargetLost:
        if not sys.platform.startswith("linux") or os.environ.get(VARIABLE):
            raise
    apt = shutil.which("apt-get")
    if apt is None:
        raise TargetLost(
            "install Wine with this system's packages, then run this again: `dnf install wine-core`"
            " on Fedora, `pacman -S wine` on Arch, `zypper install wine` on openSUSE"
        )
    if os.geteuid() != 0:
        raise TargetLost("as root: `apt-get install --no-install-recommends wine64`")
    waits = "DPkg::Lock::Timeout=120"
    command = [apt, "-o", waits, "install", "-y", "-qq", "--no-install-recommends", "wine64"]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    answer = _run(command, env)
    if answer.returncode:  # its lists may be old, or not there yet
        _run([apt, "-o", waits, "update", "-qq"], env)
        answer = _run(command, env)
    if answer.returncode:
        last = "\n".join(answer.stderr.strip().splitlines()[-5:])
        raise TargetLost(f"`apt-get install wine64` did not work:\n{last}")
    _find.cache_clear()
    return find()


def _run(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=env, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )


@cache
def _find(named: str, _path: str) -> Wine:
    loaders = [named] if named else ["wine64", "/usr/lib/wine/wine64", "wine"]
    for each in loaders:
        found = shutil.which(each)
        if found is None:
            continue
        loader = Path(found)
        server = _server(loader)
        if server is not None:
            return Wine(loader, server, _version(loader))
    if named:
        raise TargetLost(f"{VARIABLE} names {named}, which cannot be run or has no wineserver")
    raise TargetLost(ADVICE)


def _server(loader: Path) -> Path | None:
    folders = [loader.parent, loader.resolve().parent, Path("/usr/lib/wine")]
    for folder in folders:
        for name in ("wineserver64", "wineserver"):
            if os.access(folder / name, os.X_OK):
                return folder / name
    other = shutil.which("wineserver")
    return Path(other) if other else None


def _version(loader: Path) -> str:
    try:
        answer = subprocess.run(
            [loader, "--version"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TargetLost(f"{loader} cannot be run: {error}") from error
    words = answer.stdout.split()
    if answer.returncode or not words:
        raise TargetLost(f"{loader} cannot be run: {answer.stderr.strip()[-300:]}")
    return words[0].removeprefix("wine-")
