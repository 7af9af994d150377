"""What pane tests share: hostile texts, and a front end that only remembers."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import Any

import comm.base_comm

from kernellab.protocol import DbgPrint

#: Texts that do harm where they reach a page or a terminal as they are.
HOSTILE = {
    "script": "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&",
    "ansi": "\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b31m",
    "controls": "a\x00b\x08c\x7fd\re\x85f",
    "direction": "access\u202e\u2066 // admin\u2069\u200f\u061c",
    "invisible": "zero\u200bwidth\u2060\ufeff\u00ad\u3164\U000e0041",
    "lines": "one\u2028two\u2029three",
    "surrogate": "lone \ud800 and \udfff",
}

#: What must not be in anything that is shown.
FORBIDDEN = (
    [chr(c) for c in range(0x20) if chr(c) not in "\n\t"]
    + [chr(c) for c in range(0x7F, 0xA0)]
    + list("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u200e\u200f\u061c")
    + list("\u2028\u2029\u2060\ufeff\u00ad\u3164\U000e0041")
)


def harmless(text: str, *, html: bool = False) -> None:
    """Fail where ``text`` holds something that must not be shown."""
    text.encode("utf-8")  # no lone surrogates
    assert [hex(ord(c)) for c in FORBIDDEN if c in text] == []
    if html:
        assert "<script" not in text
        assert "<img" not in text
        assert "<b>" not in text


def printed(text: str, **more: Any) -> DbgPrint:
    """A print of ``println!``'s component and level."""
    fields: dict[str, Any] = {"driver": "hello", "time": 0.001, "component": 77, **more}
    return DbgPrint(text=text, **fields)


class FrontEnd(comm.base_comm.BaseComm):
    """A comm whose messages are kept; :meth:`rows` is what a view would make of them."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self.messages: list[dict[str, Any]] = []
        self.state: dict[str, Any] = {}
        self.lose: Callable[[int], bool] = lambda number: False
        self.texts: list[str] = []
        self.base = 0
        self.gaps = 0
        super().__init__(*arguments, **keywords)

    def publish_msg(
        self,
        msg_type: str,
        data: Any = None,
        metadata: Any = None,
        buffers: Any = None,
        **keys: Any,
    ) -> None:
        data = data or {}
        self.state.update(data.get("state", {}))
        if data.get("method") != "custom":
            return
        content = data["content"]
        self.messages.append(content)
        if content["type"] == "rows" and not self.lose(len(self.messages)):
            self._apply(content, [bytes(b) for b in buffers])

    def _apply(self, content: dict[str, Any], buffers: list[bytes]) -> None:
        times, metas, text, origins = buffers
        count = len(times) // 8
        struct.unpack(f"<{count}d{count}I{count}I", times + metas + origins)
        texts = text.decode("utf-8").split("\n") if count else []
        assert len(texts) == count
        if content["first"] > self.base + len(self.texts):
            self.gaps += 1
            self.say(type="sync", **{"from": self.base + len(self.texts)})
            return
        at = content["first"] - self.base
        self.texts[at : at + count] = texts

    def say(self, **content: Any) -> None:
        """What the view sends."""
        self.handle_msg(
            {"content": {"data": {"method": "custom", "content": content}}, "buffers": []}
        )


def until(true: Callable[[], object], what: str = "") -> None:
    """Wait until ``true()``, and fail when that does not come."""
    for _ in range(3000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError(f"never came true: {what or true}")
