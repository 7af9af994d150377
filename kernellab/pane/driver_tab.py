"""The Driver view of a pane: what the driver has, and buttons to talk with it.

A view asks while it is in sight and the driver runs; it is answered with everything, or with a word
that nothing has changed. What is pressed runs in a thread of its own, one press at a time, and what
comes of it is said where the user pressed. A message may come from an altered page: each field is
checked.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..errors import KernelLabError, UsageError
from .driver_view import sections
from .tabs import Reply
from .text import one_line, printable

if TYPE_CHECKING:
    from ..inspect.info import DriverInfo

#: Bytes of an input, and of an output that is asked for.
MOST_BYTES: Final = 1 << 20
#: Characters of a path, and of a snapshot's name.
MOST_PATH: Final = 1000
MOST_NAME: Final = 40
#: Tags of the chart.
MOST_COURSES: Final = 6

Waiting = Callable[[str], object]


class Actions(Protocol):
    """What the tab needs of the lab; each may raise KernelLabError and takes as long as it takes.

    ``waiting`` is told what an action waits for, and an empty text when it goes on.
    """

    def info(self) -> DriverInfo | None:
        """What is known of the driver now; None while another call is under way."""

    def image_info(self) -> DriverInfo:
        """What is known without asking the target: never waits."""

    def reason(self) -> str:
        """Why its devices cannot be used now, or an empty text."""

    def snapshot_reason(self) -> str:
        """Why no snapshot can be taken now, or an empty text."""

    def snapshots(self) -> list[tuple[str, float, str]]:
        """Name, virtual time, why it cannot be restored."""

    def open(self, path: str, waiting: Waiting) -> int:
        """Open a device; the handle."""

    def close(self, handle: int, waiting: Waiting) -> None:
        """Close a handle."""

    def read(self, handle: int, length: int, offset: int, waiting: Waiting) -> bytes:
        """Read from a device."""

    def write(self, handle: int, data: bytes, offset: int, waiting: Waiting) -> int:
        """Write to a device; how many bytes were taken."""

    def ioctl(self, handle: int, code: int, data: bytes, size: int, waiting: Waiting) -> bytes:
        """Send a control code; the output."""

    def snapshot(self, name: str, waiting: Waiting) -> None:
        """Keep the machine as it is."""

    def restore(self, name: str, waiting: Waiting) -> None:
        """Bring it back."""

    def forget(self, name: str, waiting: Waiting) -> None:
        """Delete a snapshot."""


#: What was done, in words, and bytes that came of it.
_Outcome = tuple[str, bytes | None]


class DriverTab:
    """The tab ``driver``. ``changed`` is called when there is something new to ask for."""

    name = "driver"

    def __init__(self, actions: Actions, changed: Callable[[], object]) -> None:
        self._lab = actions
        self._changed = changed
        self._lock = threading.Lock()
        self._busy = self._waiting = ""
        self._asking = False
        self._last: dict[str, Any] | None = None
        self._do: Mapping[str, Callable[[Mapping[str, Any]], _Outcome]] = {
            "open": self._open,
            "close": self._close,
            "read": self._read,
            "write": self._write,
            "ioctl": self._ioctl,
            "snapshot": self._snapshot,
            "restore": self._restore,
            "delete": self._forget,
        }

    def receive(self, content: Mapping[str, Any], reply: Reply) -> None:
        """A message of a view: it asks, or something was pressed."""
        action = content.get("action")
        if isinstance(action, str) and action in self._do:
            self._press(action, dict(content), reply)
        elif "have" in content:
            self._ask(content.get("have"), reply)

    # -- asking ---------------------------------------------------------------------------------

    def _ask(self, have: object, reply: Reply) -> None:
        with self._lock:
            if self._asking:
                return  # the answer that is on its way goes to every view
            self._asking = True
        threading.Thread(
            target=self._answer, args=(have, reply), name="kernellab-driver-tab", daemon=True
        ).start()

    def _answer(self, have: object, reply: Reply) -> None:
        try:
            content, error = self.content(), ""
        except Exception as problem:  # shown where the user looks
            content, error = None, f"{type(problem).__name__}: {problem}"
        with self._lock:
            self._asking = False
        if content is None:
            reply({"kind": "error", "text": one_line(error)})
        elif have == content["mark"]:
            reply({"kind": "same", "mark": have})
        else:
            reply(content)

    def content(self) -> dict[str, Any]:
        """All that the view shows, with a mark that is equal for what is the same."""
        info = self._lab.info()
        if info is None:  # another call is under way: what was known, marked as old
            last = self._last or {"kind": "info", **_shown(self._lab.image_info())}
            content = {**last, "stale": True}
        else:
            content = {"kind": "info", **_shown(info), "stale": False}
            self._last = content
        content["snapshots"] = [
            [one_line(name), f"{time:.6f}", one_line(why)]
            for name, time, why in self._lab.snapshots()
        ]
        content["reasons"] = {
            "device": one_line(self._lab.reason()),
            "snapshot": one_line(self._lab.snapshot_reason()),
        }
        with self._lock:
            content["busy"], content["waiting"] = self._busy, one_line(self._waiting)
        content.pop("mark", None)
        text = json.dumps(content, sort_keys=True)
        content["mark"] = hashlib.sha256(text.encode()).hexdigest()[:16]
        return content

    # -- pressing -------------------------------------------------------------------------------

    def _press(self, action: str, content: Mapping[str, Any], reply: Reply) -> None:
        with self._lock:
            busy = self._busy
            if not busy:
                self._busy, self._waiting = action, ""
        if busy:
            reply({"kind": "result", "action": action, "error": f"{busy} is under way"})
            return
        self._changed()
        threading.Thread(
            target=self._run, args=(action, content, reply), name=f"kernellab-{action}", daemon=True
        ).start()

    def _run(self, action: str, content: Mapping[str, Any], reply: Reply) -> None:
        result: dict[str, Any] = {"kind": "result", "action": action, "error": "", "text": ""}
        data: bytes | None = None
        try:
            result["text"], data = self._do[action](content)
        except KernelLabError as error:
            result["error"] = printable(str(error))
        except Exception as error:  # shown where the user pressed
            result["error"] = printable(f"{type(error).__name__}: {error}")
        finally:
            with self._lock:
                self._busy = self._waiting = ""
        result["bytes"] = -1 if data is None else len(data)
        reply(result, [] if data is None else [data])
        self._changed()

    def _wait(self, reason: str) -> None:
        with self._lock:
            told, self._waiting = self._waiting, reason
        if told != reason:
            self._changed()

    def _open(self, content: Mapping[str, Any]) -> _Outcome:
        path = _text(content, "path", MOST_PATH)
        return f"opened {one_line(path)}: handle {self._lab.open(path, self._wait)}", None

    def _close(self, content: Mapping[str, Any]) -> _Outcome:
        handle = _number(content, "handle", 0, 1 << 62)
        self._lab.close(handle, self._wait)
        return f"closed handle {handle}", None

    def _read(self, content: Mapping[str, Any]) -> _Outcome:
        data = self._lab.read(
            _number(content, "handle", 0, 1 << 62),
            _number(content, "size", 0, MOST_BYTES),
            _number(content, "offset", 0, 1 << 53),
            self._wait,
        )
        return f"read {_bytes(len(data))}", data

    def _write(self, content: Mapping[str, Any]) -> _Outcome:
        data = _hex(content)
        taken = self._lab.write(
            _number(content, "handle", 0, 1 << 62),
            data,
            _number(content, "offset", 0, 1 << 53),
            self._wait,
        )
        return f"wrote {_bytes(len(data))}; the driver took {taken:,}", None

    def _ioctl(self, content: Mapping[str, Any]) -> _Outcome:
        code = _number(content, "code", 0, 0xFFFFFFFF)
        data = self._lab.ioctl(
            _number(content, "handle", 0, 1 << 62),
            code,
            _hex(content),
            _number(content, "size", 0, MOST_BYTES),
            self._wait,
        )
        return f"control code {code:#x}: {_bytes(len(data))} of output", data

    def _snapshot(self, content: Mapping[str, Any]) -> _Outcome:
        name = one_line(_text(content, "name", MOST_NAME))
        self._lab.snapshot(name, self._wait)
        return f"kept the machine as {name!r}", None

    def _restore(self, content: Mapping[str, Any]) -> _Outcome:
        name = _text(content, "name", MOST_NAME)
        self._lab.restore(name, self._wait)
        return f"the machine is as it was at {name!r}", None

    def _forget(self, content: Mapping[str, Any]) -> _Outcome:
        name = _text(content, "name", MOST_NAME)
        self._lab.forget(name, self._wait)
        return f"deleted the snapshot {name!r}", None


def _shown(info: DriverInfo) -> dict[str, Any]:
    """An info as the view takes it: all text is harmless and ready to be shown."""
    links = [link.win32 for link in info.links if link.win32]
    own = [
        [each.handle, f"{each.handle}: {one_line(each.path)}"] for each in info.handles if each.own
    ]
    return {
        "name": one_line(info.name),
        "facts": facts(info),
        "note": one_line(info.note),
        "sections": sections(info),
        "links": [[path, one_line(path)] for path in links],
        "handles": own,
        "pool": [
            {"tag": one_line(tag.tag), "bytes": tag.bytes, "peak": tag.peak, "course": tag.course}
            for tag in info.pool[:MOST_COURSES]
        ],
        "told": info.told,
    }


def facts(info: DriverInfo) -> list[list[str]]:
    """Label, value, and what is copied where that is worth a button."""
    rows = [["State", one_line(info.state + (f": {info.error}" if info.error else "")), ""]]
    if info.size:
        rows.append(["Size", _bytes(info.size), ""])
    if info.sha256:
        rows.append(["SHA-256", info.sha256, info.sha256])
    if info.base:
        rows.append(["Image base", f"{info.base}, {_bytes(info.image_size)} in memory", info.base])
    if info.told:
        rows.append(["Virtual time", f"{info.time:.6f} s", ""])
    return rows


def _bytes(count: int) -> str:
    return "1 byte" if count == 1 else f"{count:,} bytes"


def _text(content: Mapping[str, Any], key: str, most: int) -> str:
    value = content.get(key)
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"no {key} is given")
    if len(value) > most:
        raise UsageError(f"the {key} is longer than {most} characters")
    return value.strip()


def _number(content: Mapping[str, Any], key: str, low: int, high: int) -> int:
    value = content.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"the {key} is not a whole number")
    if not low <= value <= high:
        raise UsageError(f"the {key} has to be from {low:,} to {high:,}")
    return value


def _hex(content: Mapping[str, Any]) -> bytes:
    value = content.get("hex", "")
    if not isinstance(value, str):
        raise UsageError("the input is not hexadecimal text")
    if len(value) > 2 * MOST_BYTES:
        raise UsageError(f"the input is longer than {MOST_BYTES:,} bytes")
    try:
        return bytes.fromhex(value)
    except ValueError:
        raise UsageError("the input is not hexadecimal: two digits for each byte") from None


__all__: Sequence[str] = ["Actions", "DriverTab", "facts"]
