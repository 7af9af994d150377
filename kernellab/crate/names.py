"""Which names a driver can have.

A driver's name becomes a service name, the file ``NAME.sys``, a Cargo package and a Rust
crate, so it has to be fit for all four.
"""

from __future__ import annotations

import re
from typing import Final

from ..errors import UsageError

#: Longest name, in characters. The object manager's ``\\Driver\\NAME`` and a service's key
#: take more, a file name with its folders on Windows (260) does not take much more.
MAX_LENGTH: Final = 64

_FORM: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*", re.ASCII)

#: Names that Windows keeps for devices, in every folder and with any extension
#: (Microsoft Learn, "Naming Files, Paths, and Namespaces").
_DEVICES: Final = frozenset(
    "con prn aux nul".split()
    + [f"{port}{number}" for port in ("com", "lpt") for number in range(10)]
)

#: The Rust Reference, "Keywords" (strict, reserved, and weak ones that a crate cannot be called).
_KEYWORDS: Final = frozenset(
    "abstract as async await become box break const continue crate do dyn else enum extern"
    " false final fn for gen if impl in let loop macro match mod move mut override priv pub ref"
    " return self static struct super trait true try type typeof unsafe unsized use virtual where"
    " while yield".split()
)

#: Crates that every driver is linked with, and names that Cargo or rustc keep for themselves.
_CRATES: Final = frozenset(
    "core alloc std proc_macro test compiler_builtins panic_abort panic_unwind"
    " windows_kernel_sys windows_kernel_rs build deps examples incremental".split()
)

#: A part of the path of one of a driver's files, and what may stand behind its first dot.
_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*", re.ASCII)
_ENDING: Final = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*", re.ASCII)

#: What lies beside a crate's root source already.
_KEPT: Final = frozenset(
    "cargo.toml cargo.lock build.rs target locks driver agent tools windows-kernel-rs"
    " windows-kernel-sys".split()
)

#: Modules that a Windows kernel has loaded before any driver of ours.
_MODULES: Final = frozenset("ntoskrnl hal ntdll kdcom ci clfs".split())


def validate_name(name: str) -> str:
    """Return ``name`` when a driver can be called that, else raise UsageError saying what can."""
    why = _objection(name)
    if why:
        shown = name if len(name) <= 40 else name[:40] + "…"
        raise UsageError(
            f"{shown!r} cannot be a driver's name: {why}. A name is a letter followed by letters,"
            f" digits, '-' or '_', at most {MAX_LENGTH} characters, such as 'hello' or 'my_driver'."
        )
    return name


def validate_module(path: str) -> str:
    """Return ``path`` when a file of a driver can be called that: ``proto.rs``, ``wire/frame.rs``.

    It is relative to the crate's root source. Raises UsageError saying what is allowed.
    """
    parts = path.split("/")
    last, dot, ending = parts[-1].partition(".")
    folders = [*parts[:-1], last]
    good = len(path) <= 200 and all(
        _PART.fullmatch(part) and part.lower() not in _DEVICES for part in folders
    )
    if not good or not dot or not _ENDING.fullmatch(ending) or parts[0].lower() in _KEPT:
        shown = path if len(path) <= 40 else path[:40] + "…"
        raise UsageError(
            f"{shown!r} cannot be a file of a driver: use a path such as 'proto.rs' or"
            " 'wire/frame.rs', with '/' between folders, of letters, digits, '-' and '_'"
        )
    return path


def fit_name(text: str) -> str:
    """A name for somebody else's driver, whose file may be called anything: ``foo-1.2``."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", text)[:MAX_LENGTH].rstrip("_-")
    for each in (name, f"driver_{name}"[:MAX_LENGTH].rstrip("_-")):
        if not _objection(each):
            return each
    return "driver"


def _objection(name: str) -> str:
    if not name:
        return "it is empty"
    if len(name) > MAX_LENGTH:
        return f"it has {len(name)} characters"
    if not _FORM.fullmatch(name):
        if name.lower().endswith((".sys", ".rs")):
            return "it is given without an extension"
        return "it has a character that is not allowed"
    if name.endswith(("-", "_")):
        return f"it ends in {name[-1]!r}"
    lower = name.lower()
    crate = lower.replace("-", "_")
    if lower in _DEVICES:
        return "Windows keeps that name for a device"
    if crate in _KEYWORDS:
        return "that is a keyword of Rust"
    if crate in _CRATES:
        return "that is the name of a crate that every driver uses, or one that Cargo keeps"
    if lower in _MODULES:
        return "a part of the Windows kernel is called that"
    return ""
