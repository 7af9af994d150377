"""What tests ask of the simulator, asked of Wine: the replies and logs beside each other.

As a pytest plugin (``-p tests.differential --differences FILE``) it records the conversations of
each test with the simulator, repeats on Wine those that Wine's agent can be asked, and writes one
JSON object a test. ``tools/differences.py`` makes the table of docs/differences.md of that.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

import kernellab
from kernellab import lab, ntdata
from kernellab.comparing.outcome import comparable
from kernellab.errors import KernelLabError, TargetLost
from kernellab.lab import Target
from kernellab.session import RequestFailed
from tests.target.sim import seeds
from tests.target.sim.seeds import Conversation

#: What both endpoints do.
SHARED: Final = frozenset(
    "hello reboot put load unload open close read write ioctl flush result poll cancel sleep"
    " shutdown".split()
)
#: What says nothing of the driver: both are asked, and not compared.
_SILENT: Final = frozenset("hello reboot put poll shutdown".split())
#: What a machine is started with that does not say what a correct driver does.
_FREE: Final = frozenset("id command seed verifier processors pool_guard".split())
#: Seconds: on Wine, time is real.
_LONGEST_SLEEP: Final = 2.0
_PATIENCE: Final = 3.0
_MISSING: Final = re.compile(r"Wine does not have (\S+), which was called")


@dataclass
class Seen:
    """What an endpoint said: replies by request number, lines by driver, the bug check."""

    replies: dict[int, str] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    bugcheck: str = ""
    message: str = ""

    def log(self) -> str:
        """All that was printed, driver by driver."""
        texts = {name: "".join(parts) for name, parts in self.lines.items()}
        return "\n".join(f"{name}: {texts[name].rstrip()}" for name in sorted(texts))


def seen(said: bytes) -> Seen:
    """What is in an endpoint's lines."""
    found = Seen()
    for kind, driver, text in seeds.outcome(seeds._RUN.sub(seeds._singly, said)):
        if kind == "dbgprint":
            found.lines.setdefault(driver, []).append(comparable(text) + "\n")
            continue
        message = json.loads(text) if kind != "violation" else {}
        if kind == "reply" and "reply" in message:
            found.replies[message["reply"]] = _reply(message)
    for line in said.splitlines():
        message = json.loads(line)
        if message.get("event") == "bugcheck" and not found.bugcheck:
            code = int(message["code"], 16)
            found.bugcheck = f"{code:#x} {message.get('name') or ntdata.bugcheck_name(code)}"
            found.message = message.get("message", "")
    return found


def _reply(message: dict[str, Any]) -> str:
    if message.get("ok"):
        return " ".join(f"{k}={message[k]}" for k in ("information", "data") if message.get(k))
    error = message.get("error", {})
    status = error.get("status", 0)
    named = ntdata.status_name(status & 0xFFFFFFFF) if status else ""
    return named if error.get("kind") == "ntstatus" else str(error.get("kind"))


def not_for_wine(conversation: Conversation) -> str:
    """Why a conversation cannot be repeated on Wine, or an empty string."""
    for request in conversation.requests:
        command = request["command"]
        if command not in SHARED:
            return f"asks for `{command}`"
        wanted = sorted(set(request) - _FREE) if command == "reboot" else []
        if wanted:
            return f"needs `{wanted[0]}`"
        if command == "open" and request.get("admin") is False:
            return "opens a device as a plain user"
        if command == "sleep" and request.get("seconds", 0) > _LONGEST_SLEEP:
            return "lets virtual time pass"
        if request.get("budget"):
            return "has a `budget`"
    return ""


def repeat(machine: Target, conversation: Conversation) -> tuple[Seen, dict[int, int]]:
    """Ask a machine that was just started the same; what it said, and its number for each."""
    session: Any = machine._session
    numbers: dict[str, dict[int, int]] = {"handle": {}, "request": {}}
    theirs = {m["reply"]: m for m in _replies(bytes(conversation.said))}
    asked: dict[int, int] = {}
    for request in conversation.requests:
        command = request["command"]
        if command in ("hello", "reboot", "shutdown"):
            continue
        fields = {k: v for k, v in request.items() if k not in ("id", "command", "verifier")}
        for name, known in numbers.items():
            if name in fields:
                fields[name] = known.get(fields[name], fields[name])
        if "timeout" in fields:
            fields["timeout"] = min(fields["timeout"], _PATIENCE)
        pending = session.start(command, **fields)
        asked[request["id"]] = pending._number
        with contextlib.suppress(RequestFailed):
            reply = pending.result(_PATIENCE + 5)
            for name, known in numbers.items():
                if name in reply and name in theirs.get(request["id"], {}):
                    known[theirs[request["id"]][name]] = reply[name]
    return seen(bytes(session.now.said)), asked


def _replies(said: bytes) -> list[dict[str, Any]]:
    messages = [json.loads(line) for line in said.splitlines()]
    return [m for m in messages if "reply" in m]


def reason(conversation: Conversation, sim: Seen, wine: Seen, asked: dict[int, int]) -> str:
    """What differs first, in words to group by; empty where nothing does."""
    missing = _MISSING.search(wine.message)
    if missing is not None:
        return f"Wine lacks {missing[1].partition('!')[2]}"
    if sim.bugcheck != wine.bugcheck:
        return f"bug check: {sim.bugcheck or 'none'} / {wine.bugcheck or 'none'}"
    for request in conversation.requests:
        command, number = request["command"], request["id"]
        if command in _SILENT or number not in asked:
            continue
        ours, theirs = sim.replies.get(number), wine.replies.get(asked[number])
        if ours != theirs:
            return f"{command}: {_short(ours)} / {_short(theirs)}"
    if sim.log() != wine.log():
        same = sorted(sim.log().splitlines()) == sorted(wine.log().splitlines())
        return "log: another order" if same else "log"
    return ""


def _short(reply: str | None) -> str:
    if reply is None:
        return "no reply"
    return (reply or "success")[:60]


def where(sim: Seen, wine: Seen) -> tuple[str, str]:
    """The first lines of the logs that differ."""
    ours, theirs = sim.log().splitlines(), wine.log().splitlines()
    for n in range(max(len(ours), len(theirs))):
        pair = ours[n] if n < len(ours) else "", theirs[n] if n < len(theirs) else ""
        if pair[0] != pair[1]:
            return pair[0][:160], pair[1][:160]
    return "", ""


def _parameters(item: pytest.Item) -> dict[str, Any]:
    spec = getattr(item, "callspec", None)
    return dict(spec.params) if spec is not None else {}


class Plugin:
    """Repeats what each test asked, and writes down how that came out."""

    def __init__(self, place: Path) -> None:
        self._out = place.open("w", encoding="utf-8")
        self._machine = kernellab.connect("wine", timeout=_PATIENCE)
        self._seen: set[str] = set()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Once is enough: Wine has no seeds."""
        items[:] = [item for item in items if not _parameters(item).get("seed")]

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        taken = seeds.RecordingSession.taken
        del taken[:]
        yield
        done, wine = list(taken), self._machine._session
        for conversation in done:
            commands = [request["command"] for request in conversation.requests]
            key = conversation.key()
            if "load" not in commands or key in self._seen or conversation is wine.now:  # type: ignore[attr-defined]
                continue
            self._seen.add(key)
            row = self._compare(item.nodeid, conversation)
            print(json.dumps(row, ensure_ascii=False), file=self._out, flush=True)
        taken[:] = done

    def _compare(self, test: str, conversation: Conversation) -> dict[str, Any]:
        loads = [r["driver"] for r in conversation.requests if r["command"] == "load"]
        row: dict[str, Any] = {"test": test, "drivers": sorted(set(loads))}
        skipped = not_for_wine(conversation)
        if skipped:
            return {**row, "outcome": "only sim", "reason": skipped}
        sim = seen(bytes(conversation.said))
        try:
            self._machine.reboot()
            wine, asked = repeat(self._machine, conversation)
        except KernelLabError as error:
            if not isinstance(error, TargetLost):
                self._machine.reboot()
            return {**row, "outcome": "differs", "reason": f"{type(error).__name__}: {error}"}
        why = reason(conversation, sim, wine, asked)
        if not why:
            return {**row, "outcome": "same"}
        first, second = where(sim, wine)
        return {**row, "outcome": "differs", "reason": why, "sim": first, "wine": second}

    def pytest_sessionfinish(self) -> None:
        self._machine.close()
        self._out.close()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--differences FILE``."""
    parser.addoption("--differences", type=Path, help="compare with Wine, and write that to FILE")


def pytest_configure(config: pytest.Config) -> None:
    """Record, and do not repeat on other seeds: that is not what is asked."""
    place = config.getoption("--differences")
    if place is not None:
        pytest.MonkeyPatch().setattr(lab, "Session", seeds.RecordingSession)
        pytest.MonkeyPatch().setattr(seeds, "check", lambda *_, **__: None)
        config.pluginmanager.register(Plugin(place), "kernellab-differences")
