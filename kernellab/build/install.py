"""``kernellab setup``: find a toolchain, or install one, and build what it lacks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from ..errors import ToolchainError
from . import cache, process, sysroot
from .advice import install_advice
from .cache import Progress
from .toolchain import MINIMUM, TARGET, Toolchain, candidates, find_toolchain, rustup_homes

#: Seconds that ``rustup target add`` may take in all (it downloads about 25 MB).
_RUSTUP_LIMIT: Final = 300.0

#: Seconds without network that are waited before rustup's server counts as out of reach.
_RUSTUP_CONNECT: Final = 6.0

_APT_LIMIT: Final = 900.0

#: Seconds that apt-get may need to end by itself when it is stopped: killed in the middle of
#: unpacking it would leave packages half installed.
_APT_GRACE: Final = 120.0

#: Waits for another package manager, such as the updates of a machine that has just started.
_APT_WAITS: Final = ("-o", "DPkg::Lock::Timeout=120")

#: Where rustup installs itself, on PATH or not.
_CARGO_BIN: Final = str(Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo") / "bin")

#: Compiler, Cargo and library source as Debian and Ubuntu call them; ``-web`` is Debian 12's
#: newer Rust, kept for the browsers.
_APT_FAMILIES: Final = (
    ("rustc", "cargo", "rust-src"),
    ("rustc-web", "cargo-web", "rust-web-src"),
)


def setup(progress: Progress | None = None) -> Toolchain:
    """Find what building needs, install it where it is missing, and build the sysroot.

    In this order: what is here; ``rustup target add``; on Debian and Ubuntu the distribution's
    packages (as root, else the command is named). Safe to run again and from two processes.
    Raises ToolchainError with the text that says what to do.
    """
    root = cache.check_writable()
    with cache.locked(root / "setup.lock", progress=progress, what="the set-up"):
        _say(progress, "looking for Rust")
        toolchain = _found()
        if toolchain is None:
            tried = [_rustup(progress)]
            toolchain = _found()
            if toolchain is None:
                tried.append(_apt(progress))
                toolchain = _found()
        if toolchain is None:
            advice = install_advice(_objections())
            notes = "\n".join(note for note in tried if note)
            raise ToolchainError(f"{notes}\n\n{advice}" if notes else advice)
    sysroot.ensure(toolchain, progress=progress)
    return toolchain


def _found() -> Toolchain | None:
    try:
        return find_toolchain(fresh=True)
    except ToolchainError:
        if os.environ.get("KERNELLAB_RUSTC"):
            raise  # the user named one: nothing is installed behind their back
        return None


def _objections() -> list[str]:
    return [f"{c.rustc} ({c.origin}): {c.objection}" for c in candidates() if c.objection]


def _say(progress: Progress | None, text: str) -> None:
    if progress is not None:
        progress(0, 0, text)


def _rustup(progress: Progress | None) -> str:
    """Add the Windows target with rustup, where it is; what to tell the user if that failed."""
    if _rustup_program() is None:
        return ""
    name = _rustup_toolchain()
    if name is None:
        oldest = ".".join(map(str, MINIMUM))
        return f"rustup is here, but no Rust {oldest} or newer: `rustup toolchain install stable`"
    return run_rustup(["target", "add", "--toolchain", name, TARGET], progress)


def _rustup_program() -> str | None:
    return shutil.which("rustup") or shutil.which("rustup", path=_CARGO_BIN)


def run_rustup(arguments: Sequence[str], progress: Progress | None) -> str:
    """Run rustup, where it is and reaches its server; what to tell the user if that failed."""
    rustup = _rustup_program()
    if rustup is None:
        return ""
    if not _reachable():
        return "rustup is here, but its server cannot be reached: no network."
    words = ["rustup", *arguments]
    command = f"`{' '.join(words)}`"
    _say(progress, " ".join(words))
    try:
        answer = process.run([rustup, *words[1:]], timeout=_RUSTUP_LIMIT)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command} did not work: {error}"
    if answer.returncode:
        last = (answer.stderr.strip() or "no reason given").splitlines()[-1]
        return f"{command} did not work: {last}"
    return ""


def _rustup_toolchain() -> str | None:
    """The first of rustup's toolchains in the order of preference that is new enough."""
    known = {os.path.realpath(home): home.name for home in rustup_homes()}
    for candidate in candidates():
        numbers = tuple(int(n) for n in re.findall(r"\d+", candidate.version)[:2])
        if candidate.home is not None and numbers >= MINIMUM:
            name = known.get(os.path.realpath(candidate.home))
            if name is not None:
                return name
    return None


def _reachable() -> bool:
    """Whether rustup's server answers within a few seconds: rustup itself waits for minutes."""
    from ssl import SSLError
    from urllib.error import HTTPError, URLError
    from urllib.request import urlopen

    server = os.environ.get("RUSTUP_DIST_SERVER", "https://static.rust-lang.org").rstrip("/")
    if not server.startswith(("https://", "http://")):
        return True
    try:
        with urlopen(f"{server}/dist/channel-rust-stable.toml.sha256", timeout=_RUSTUP_CONNECT):  # noqa: S310 (the scheme is checked)
            return True
    except HTTPError as error:
        return error.code < 500 and error.code != 403
    except URLError as error:
        # Somebody answers; this Python has no certificates (python.org's on macOS), rustup may.
        return isinstance(error.reason, SSLError)
    except (OSError, ValueError):
        return False


# -- Debian and Ubuntu ------------------------------------------------------------------------


def _apt(progress: Progress | None) -> str:
    """Install the distribution's Rust, as root; what to tell the user where that cannot be."""
    return run_apt_install(apt_packages, progress)


def run_apt_install(
    wanted: Callable[[], list[str]], progress: Progress | None, *options: str
) -> str:
    """Install packages, as root; what to tell the user where that cannot be.

    ``wanted`` says which, and is asked again after ``apt-get update`` where there are none.
    """
    apt = shutil.which("apt-get")
    if apt is None or shutil.which("apt-cache") is None or sys.platform != "linux":
        return ""
    packages = wanted()
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if not packages and is_root:
        _say(progress, "apt-get update")
        _run_apt([apt, "-q", "update"])
        packages = wanted()
    if not packages:
        return ""
    words = ["apt-get", "install", "-y", *options, *packages]
    if not is_root:
        return f"This command brings what is missing:\n\n  sudo {' '.join(words)}"
    _say(progress, " ".join(words))
    words = ["-q", *_APT_WAITS, "install", "-y", "--no-install-recommends", *options, *packages]
    return _run_apt([apt, *words])


def _run_apt(arguments: Sequence[str]) -> str:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        answer = process.run(arguments, env=env, timeout=_APT_LIMIT, grace=_APT_GRACE)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"`{' '.join(arguments)}` did not work: {error}"
    if answer.returncode:
        lines = (answer.stderr.strip() or answer.stdout.strip()).splitlines()
        return f"`{' '.join(arguments)}` did not work:\n" + "\n".join(lines[-4:])
    return ""


def apt_packages() -> list[str]:
    """The packages of this distribution that make a toolchain; empty where there are none."""
    names = [name for family in _APT_FAMILIES for name in family]
    linkers = [f"lld-{number}" for number in range(22, 16, -1)] + ["lld"]
    versions = apt_versions([*names, *linkers])
    for family in _APT_FAMILIES:
        known = [versions.get(name) for name in family]
        if all(v is not None and v >= MINIMUM for v in (known[0], known[2])) and known[1]:
            # rustc without the linker of its own: LLD 14 and newer link drivers.
            linker = next((name for name in linkers if name in versions), None)
            return [*family, *([linker] if linker else [])]
    return []


def apt_versions(names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Major and minor version of each package that can be installed."""
    try:
        answer = process.run(
            ["apt-cache", "policy", *names], env={**os.environ, "LC_ALL": "C"}, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    found: dict[str, tuple[int, int]] = {}
    name = ""
    for line in answer.stdout.splitlines():
        if line and not line.startswith(" "):
            name = line.rstrip(":")
        match = re.match(r"\s+Candidate: (?:\d+:)?(\d+)\.(\d+)", line)
        if match:
            found[name] = (int(match[1]), int(match[2]))
    return found
