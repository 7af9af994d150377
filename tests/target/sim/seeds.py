"""Each test's drivers once more: on the same seed the same bytes, on 20 seeds the same outcome.

What a test asks of the simulator is recorded, and asked again of one in this process. A test whose
drivers' threads may come out differently says so: see the marker ``seeds`` in pyproject.toml.
"""

from __future__ import annotations

import base64
import difflib
import io
import json
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Final, cast

from kernellab import prints, protocol
from kernellab.errors import UsageError
from kernellab.session import Session
from kernellab.target.sim.endpoint import Endpoint
from kernellab.target.sim.kernel.kernel import Kernel
from kernellab.target.sim.kernel.snapshot import Snapshot
from kernellab.target.sim.verify.base import Verifier

SEEDS: Final = 20

#: What happened, and in which driver.
Outcome = list[tuple[str, ...]]
#: Whether an outcome under some seed is one that is allowed.
Allowed = Callable[[Outcome], bool]

#: A trace's first bytes as base64.
_TRACE: Final = base64.b64encode(b"KLT").decode()
_RUN: Final = re.compile(rb'^\{"event":"dbgprints".*$', re.MULTILINE)
_SEQ: Final = re.compile(rb'"seq": ?\d+,? ?')
#: What an instruction more or less before another thread's changes.
_INEXACT: Final = frozenset("time frames related message parameters registers instruction".split())
_HINT: Final = "Where that is as it may be, the test says so: the marker `seeds`, CONTRIBUTING.md"
#: Seconds, where the test sets no limit of its own: other work shares the machine.
_PATIENCE: Final = 120.0


@dataclass
class Conversation:
    """What was asked of a machine since it was started, and what it said."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    said: bytearray = field(default_factory=bytearray)
    #: The folder of the host that the machine has, as it was when it was started.
    files: TemporaryDirectory[str] | None = None

    def repeatable(self) -> bool:
        """Whether it has a driver, and nothing in it depends on the host's clock."""
        commands = {request["command"] for request in self.requests}
        on_time = re.search(
            rb'"message": "(driver code ran for more than [\d.]+ s"|.* makes no call and comes)',
            self.said,
        )
        return "load" in commands and "interrupt" not in commands and not on_time

    def before(self, kind: str) -> int:
        """How many requests or snapshots there were: machines go on counting after a reboot."""
        first = re.search(rb'"%s": (\d+)' % kind.encode(), self.said)
        return int(first[1]) - 1 if first else 0

    def key(self) -> str:
        """Equal for what differs in its seed and the numbers of its requests only."""
        left_out = ("id", "seed")
        return repr([{k: v for k, v in r.items() if k not in left_out} for r in self.requests])


class RecordingSession(Session):
    """A session that keeps its conversations, the newest last."""

    #: Conversations since they were last taken, of all sessions.
    taken: list[Conversation] = []  # noqa: RUF012 - one list for all is meant

    def __init__(
        self, reader: BinaryIO, writer: BinaryIO, listener: Any, ended: Any = lambda _: None
    ) -> None:
        self.now = Conversation()
        super().__init__(cast(BinaryIO, _Heard(self, reader)), writer, listener, ended)

    def _send(self, message: dict[str, Any]) -> bytes:
        if message["command"] == "reboot":
            self.now = Conversation()
            if message.get("files"):
                self.now.files = TemporaryDirectory()
                shutil.copytree(message["files"], self.now.files.name, dirs_exist_ok=True)
        self.now.requests.append(dict(message))
        if not any(self.now is other for other in self.taken):
            self.taken.append(self.now)
        try:
            return super()._send(message)
        except UsageError:  # too long: it was not asked
            self.now.requests.pop()
            raise


class _Heard:
    """What a session reads, which is kept."""

    def __init__(self, session: RecordingSession, reader: BinaryIO) -> None:
        self._session = session
        self._reader: Any = reader

    def read1(self, size: int) -> bytes:
        data: bytes = self._reader.read1(size)
        self._session.now.said += data
        return data

    #: Sessions prefer the other.
    read = read1

    def close(self) -> None:
        self._reader.close()


class _Machine(Endpoint):
    """The simulator in this process; machine after machine."""

    def __init__(self) -> None:
        #: Machines as they are after the boot, by their settings: going back is faster.
        self._booted: dict[str, tuple[Kernel, Verifier | None, Snapshot]] = {}
        self._seeded: tuple[Kernel, int] | None = None
        self._drawn = self._afresh = False
        super().__init__(io.BytesIO(), io.BytesIO())

    def replay(self, conversation: Conversation, seed: int) -> tuple[bytes, bool]:
        """What it says when asked the same on another seed, and whether the seed was looked at."""
        for snapshot in self._snapshots.values():
            snapshot.forget(self._kernel)  # which is kept, other than at a real reboot
        # A dump has all memory that was ever used: then nothing may have been used before.
        self._afresh = any(r["command"] == "dump" for r in conversation.requests)
        self._stopped, self._seeded, self._drawn = "the machine before is forgotten", None, False
        self._next_snapshot = conversation.before("snapshot")
        self._devices._number = conversation.before("request")
        written = self._out._stream = io.BytesIO()
        if conversation.requests[0]["command"] != "reboot":
            self._answer({"id": 0, "command": "reboot", "seed": seed})
        with TemporaryDirectory() as folder:
            for request in conversation.requests:
                if request["command"] == "restore":
                    self._note_draws()  # the generator goes back as well
                self._answer(self._changed(request, conversation, seed, Path(folder)))
        self._note_draws()
        return written.getvalue(), self._drawn

    def _changed(
        self, request: dict[str, Any], conversation: Conversation, seed: int, folder: Path
    ) -> dict[str, Any]:
        changed = dict(request)
        if request["command"] == "reboot":
            changed["seed"] = request.get("seed", 0) + seed
            if conversation.files is not None:
                shutil.copytree(conversation.files.name, folder / "C")
                changed["files"] = str(folder / "C")
        if request.get("timeout", 0) >= 10:
            changed["timeout"] = _PATIENCE
        return changed

    def _boot(self) -> Kernel:
        self._note_draws()
        seed = self._settings.pop("seed", 0)
        # Files may be others each time, and a mixed pool's boot depends on the seed.
        mixed = self._settings.get("pool_guard") == "mixed"
        if self._afresh or mixed or self._settings.get("files"):
            self._settings["seed"] = seed
            kernel = super()._boot()
        else:
            kernel = self._booted_before()
            kernel.scheduler.random.seed(seed)
            kernel.pool._random.seed(seed)
        self._seeded = kernel, seed
        return kernel

    def _booted_before(self) -> Kernel:
        key = repr(self._settings)
        if key not in self._booted:
            kernel = super()._boot()
            self._booted[key] = kernel, self._verifier, Snapshot(kernel)
        kernel, self._verifier, booted = self._booted[key]
        booted.restore(kernel)
        return kernel

    def _note_draws(self) -> None:
        if self._seeded is not None:
            kernel, seed = self._seeded
            fresh = random.Random(seed).getstate()
            generators = (kernel.scheduler.random, kernel.pool._random)
            self._drawn |= any(generator.getstate() != fresh for generator in generators)


_machine: _Machine | None = None
#: Keys of what was seen to come out as it may.
_done: set[str] = set()


def check(
    conversation: Conversation, allowed: Allowed | None = None, *, any_order: bool = False
) -> None:
    """Assert what the module says of a conversation. ``allowed`` is the test's own idea of it."""
    global _machine
    _machine = machine = _machine or _Machine()
    said = _after_boot(conversation, bytes(conversation.said))
    first, drawn = machine.replay(conversation, 0)
    again = _after_boot(conversation, first)
    assert again == said, (
        f"the same seed gave another run: {_changes(said.splitlines(), again.splitlines())}"
    )
    key = conversation.key()
    if key in _done:
        return
    # Where nothing was drawn from the seed, another one cannot matter; that is tried once.
    expected = outcome(said)
    for seed in range(1, SEEDS) if drawn else (SEEDS,):
        again = _after_boot(conversation, machine.replay(conversation, seed)[0])
        if not drawn:
            changes = _changes(said.splitlines(), again.splitlines())
            assert again == said, f"no seed was looked at, but another one gave: {changes}"
            continue
        found = outcome(again)
        if allowed is not None:
            assert allowed(found), f"seed {seed} gave an outcome that is not allowed: {found}"
        elif any_order:
            assert Counter(found) == Counter(expected), (
                f"seed {seed}: {_changes(expected, found)}\n{_HINT}"
            )
        else:
            assert found == expected, f"seed {seed}: {_changes(expected, found)}\n{_HINT}"
    _done.add(key)


def _after_boot(conversation: Conversation, said: bytes) -> bytes:
    """What a machine said from its start on: not what the one before said as it went down."""
    first = conversation.requests[0]
    number = first["id"] if first["command"] == "reboot" else 0
    _, found, rest = said.partition(b'{"reply": %d, "ok": true}\n' % number)
    return _SEQ.sub(b"", _RUN.sub(_singly, rest if found else said))


def _singly(run: re.Match[bytes]) -> bytes:
    """A run of prints as they go out one by one: where a run ends is a matter of the clock."""
    return b"\n".join(
        protocol.encode_line(
            {
                "event": "dbgprint",
                "seq": each.seq,
                "driver": each.driver,
                "text": each.text,
                "time": each.time,
                "level": each.level,
                "component": each.component,
                "irql": each.irql,
                "thread": each.thread,
            }
        ).rstrip(b"\n")
        for each in prints.parse(protocol.decode_line(run[0])).records
    )


def _changes(old: Sequence[object], new: Sequence[object]) -> str:
    """What is not in both, as a ``diff`` has it."""
    texts = [str(each) for each in old], [str(each) for each in new]
    return "\n".join(difflib.unified_diff(*texts, n=0, lineterm=""))


def outcome(said: bytes) -> Outcome:
    """What happened, in its order, without times and addresses."""
    found: Outcome = []
    for line in said.splitlines():
        message = json.loads(line)
        kind = message.get("event", "reply")
        driver = message.get("driver", "")
        if kind == "dbgprint":
            found.append((kind, driver, message["text"].rstrip("\n")))
        elif kind == "violation":
            found.append((kind, driver, message["rule"]))
        else:
            found.append((kind, driver, json.dumps(_exact(message), sort_keys=True)))
    return found


def lines(found: Outcome) -> list[str]:
    """What was printed."""
    return [text for kind, _, text in found if kind == "dbgprint"]


def _exact(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get("file") == "TRACE.KLT" or str(value.get("data", "")).startswith(_TRACE):
            return "what a trace has in it, which is all about time"
        return {k: _exact(v) for k, v in value.items() if k not in _INEXACT}
    return [_exact(each) for each in value] if isinstance(value, list) else value
