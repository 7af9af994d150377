"""The tab "Timeline" of a driver's pane: what its view asks, answered."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import KernelLabError
from .chrome import to_chrome
from .columns import columns

if TYPE_CHECKING:
    from .data import Trace


class Reply(Protocol):
    """Sends to the views; as :class:`kernellab.pane.tabs.Reply`."""

    def __call__(self, content: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> None:
        """Send."""


class TimelineTab:
    """Answers the view. Reading a trace takes time, and is a thread's work: one at a time."""

    name = "timeline"

    def __init__(self, trace: Trace, title: str) -> None:
        self._trace = trace
        self._title = title
        self._work = threading.Lock()

    def receive(self, content: Mapping[str, Any], reply: Reply) -> None:
        """``read``: the events as columns; ``json``: the file for Perfetto."""
        actions: Mapping[object, Callable[[Reply], None]] = {"read": self._read, "json": self._json}
        asked = content.get("action")
        action = actions.get(asked) if isinstance(asked, str) else None
        if action is not None:
            threading.Thread(
                target=self._answer, args=(action, reply), name="kernellab-timeline", daemon=True
            ).start()

    def _answer(self, action: Callable[[Reply], None], reply: Reply) -> None:
        try:
            with self._work:
                action(reply)
        except KernelLabError as error:
            reply({"action": "failed", "message": str(error)})

    def _read(self, reply: Reply) -> None:
        head, buffers = columns(self._trace)
        reply({"action": "events", **head}, buffers)

    def _json(self, reply: Reply) -> None:
        text = json.dumps(to_chrome(self._trace), separators=(",", ":"))
        reply({"action": "json", "file": f"{self._title}-trace.json"}, [text.encode()])
