"""Look at a machine, make it ready, undo that: what ``kernellab target check`` and ``prepare`` do.

What is wanted, what differs and what was there before is decided here; on the machine two short
scripts read and write what they are told to.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ...errors import TargetRefused
from ..config import Machine
from ..credentials import Secret
from . import scripts
from .settings import UNDO, Setting
from .target import require_lab

#: Seconds that the machine's clock may be off: beyond that certificates and logs are confusing.
CLOCK: Final = 300.0
#: Bytes free on the system drive, for agent, drivers and dumps.
FREE: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``mend`` says what to do where it is not ``ok``."""

    title: str
    ok: bool
    found: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A setting that is not as wanted; ``found`` is None where there is none."""

    setting: Setting
    found: Any

    def __str__(self) -> str:
        was = "not set" if self.found is None else self.found
        after = " (after a restart)" if self.setting.restart else ""
        becomes = self.setting.shown.removeprefix("at least ")
        return f"{self.setting.title}: {was} -> {becomes}{after}"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a machine said: facts by name, and a value for each setting."""

    facts: dict[str, Any]
    values: tuple[Any, ...]
    settings: tuple[Setting, ...]
    undo: dict[str, Any]
    asked_at: dt.datetime

    @property
    def changes(self) -> list[Change]:
        """What ``prepare`` would do."""
        pairs = zip(self.settings, self.values, strict=True)
        return [Change(setting, found) for setting, found in pairs if not setting.right(found)]


def look(machine: Machine, secret: Secret, wanted: Sequence[Setting]) -> Seen:
    """Read everything; changes nothing. Raises NotALabMachine, and what Channel raises."""
    require_lab(machine)
    items = [*(setting.item() for setting in wanted), {**UNDO, "value": None}]
    now = dt.datetime.now(dt.UTC)
    answer = scripts.run(machine, secret, "read", {"items": items})
    values, facts = answer.get("values"), answer.get("facts")
    if not isinstance(values, list) or len(values) != len(items) or not isinstance(facts, dict):
        raise TargetRefused("read.ps1 answers something else than what it was asked")
    return Seen(facts, tuple(values[:-1]), tuple(wanted), _undo(values[-1]), now)


def _undo(text: Any) -> dict[str, Any]:
    try:
        kept = json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        kept = {}
    return kept if isinstance(kept, dict) else {}


def check(machine: Machine, seen: Seen) -> list[Finding]:
    """Each thing that a lab machine needs, and how to mend what is missing."""
    facts = seen.facts
    out = [Finding(*each) for each in _facts(facts, seen.asked_at)]
    prepare = f"kernellab target prepare {machine.name}"
    for setting, found in zip(seen.settings, seen.values, strict=True):
        shown = "not set" if found is None else str(found)
        mend = f"`{prepare}` sets it to {setting.shown}: {setting.why}"
        out.append(Finding(setting.title, setting.right(found), shown, mend))
    options = str(facts.get("start_options", "")).upper()
    wanted = dict(zip((s.key for s in seen.settings), seen.values, strict=True))
    if wanted.get("bcd||testsigning") == "on" and options:
        active = "TESTSIGNING" in options
        text = "in force" if active else "set, not in force yet"
        restart = f"restart the machine: `{prepare} --restart`"
        out.append(Finding("test signing since the start", active, text, restart))
    return out


def _facts(facts: dict[str, Any], now: dt.datetime) -> list[tuple[str, bool, str, str]]:
    free = int(facts.get("free_bytes") or 0)
    version = str(facts.get("version", ""))
    numbers = [int(part) for part in version.split(".") if part.isdigit()]
    secure = facts.get("secure_boot") is True
    out = [
        (
            "Windows",
            numbers[:1] >= [10],
            f"{facts.get('system', 'unknown')} {version}",
            "use Windows 10 or newer",
        ),
        (
            "processor",
            facts.get("architecture") == "AMD64",
            str(facts.get("architecture", "unknown")),
            "drivers are built for x86-64; use such a machine",
        ),
        (
            "administrator",
            facts.get("administrator") is True,
            "yes" if facts.get("administrator") is True else "no",
            "use an account of the group Administrators; for a local account over the network, "
            "LocalAccountTokenFilterPolicy has to be 1: `kernellab target prepare --script`",
        ),
        (
            "Secure Boot off",
            not secure,
            "on" if secure else "off",
            "switch Secure Boot off in the machine's firmware settings: with it, Windows does not "
            "allow test signing, and nothing inside Windows can change that",
        ),
        (
            "free disk space",
            free >= FREE,
            f"{free / (1 << 30):.1f} GiB",
            "free a GiB on the system drive: for drivers and crash dumps",
        ),
    ]
    off = _clock_off(facts.get("clock"), now)
    if off is not None:
        mend = "set the machine's clock (w32tm /resync there)"
        out.append(("clock", abs(off) <= CLOCK, f"{off:+.0f} s", mend))
    return out


def _clock_off(text: Any, now: dt.datetime) -> float | None:
    try:
        # .NET writes seven digits of a second.
        there = dt.datetime.fromisoformat(str(text)[:19] + "+00:00")
    except ValueError:
        return None
    return (there - now).total_seconds()


def apply(machine: Machine, secret: Secret, seen: Seen) -> list[Change]:
    """Make the changes; what was there before is written down on the machine first."""
    changes = seen.changes
    if not changes:
        return []
    before = {change.setting.key: change.found for change in changes}
    undo = before | seen.undo  # what an earlier prepare found counts more than what it left
    items = [{**UNDO, "value": json.dumps(undo)}]
    items += [change.setting.item(change.setting.wanted) for change in changes]
    _write(machine, secret, items)
    return changes


def undo(machine: Machine, secret: Secret, seen: Seen) -> list[str]:
    """Put back what ``apply`` had changed; returns the titles of it."""
    items = [setting.item(value) for setting, value in kept(seen)]
    if items:
        items.append({"kind": "folder", "name": "kernellab's folder", "value": None})
        items.append({**UNDO, "value": None})
        _write(machine, secret, items)
    return [setting.title for setting, _ in kept(seen)]


def kept(seen: Seen) -> list[tuple[Setting, Any]]:
    """What ``undo`` puts back: settings with their values from before, the mark last."""
    known = {setting.key: setting for setting in seen.settings}
    pairs = [
        (known.get(key) or _setting_of(key), value) for key, value in reversed(seen.undo.items())
    ]
    return [(setting, value) for setting, value in pairs if setting is not None]


def _setting_of(key: str) -> Setting | None:
    """A certificate of an earlier key: not among today's settings, and still to be removed."""
    kind, path, name = key.split("|", 2)
    if kind != "certificate":
        return None
    return Setting(f"test certificate in {path}", "", kind, name, "", path)


def restart(machine: Machine, secret: Secret) -> None:
    """Restart the machine."""
    require_lab(machine)
    scripts.run(machine, secret, "restart", {})


def _write(machine: Machine, secret: Secret, items: list[dict[str, Any]]) -> None:
    answer = scripts.run(machine, secret, "write", {"items": items})
    if answer.get("written") != len(items):
        raise TargetRefused("write.ps1 did not write everything")
