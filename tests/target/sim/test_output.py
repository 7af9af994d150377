"""Events on their way to the client: single, or runs of prints in columns; the same in the end."""

from __future__ import annotations

import io
from typing import Any

from kernellab import prints, protocol
from kernellab.prints import singles
from kernellab.protocol import Event
from kernellab.target.sim.output import Output


def printed(text: str, time: float = 0.5, **more: Any) -> tuple[str, dict[str, Any]]:
    alike = {"driver": "d", "level": 0, "component": 77, "irql": 0, "thread": 4}
    return "dbgprint", {"text": text, "time": time, **alike, **more}


EVENTS = [
    printed("one\n"),
    printed("two \u202e\u00e9 \x1b\n", 0.25),
    printed("", 1e-7),
    printed("another level\n", level=1),
    ("state", {"driver": "d", "state": "running", "status": ""}),
    printed("alone\n", driver="other"),
    printed("a thread\n", thread=8),
    printed("and on\n", thread=8),
    *(printed(f"{n}\n", n / 3, irql=2) for n in range(3 * prints.MOST)),
    ("state", {"driver": "d", "state": "unloaded", "status": ""}),
]


def sent(columns: bool) -> list[bytes]:
    stream = io.BytesIO()
    output = Output(stream)
    output.columns = columns
    for kind, fields in EVENTS:
        output.event(kind, fields)
    output.reply({"reply": 1, "ok": True})
    return stream.getvalue().splitlines()


def parsed(lines: list[bytes]) -> list[Event]:
    events: list[Event] = []
    for line in lines:
        message = protocol.decode_line(line)
        if message["event"] == prints.Prints.kind:
            events += singles(prints.parse(message))
        else:
            events.append(protocol.parse_event(message))
    return events


def test_runs_in_columns_are_the_events_that_go_out_singly() -> None:
    one, other = sent(columns=False), sent(columns=True)
    assert one.pop() == other.pop() == b'{"reply": 1, "ok": true}'
    assert len(one) == len(EVENTS)
    assert not any(b'"dbgprints"' in line for line in one)
    assert len(other) < len(one) / 4
    assert parsed(one) == parsed(other)
    assert [event.seq for event in parsed(other)] == list(range(1, len(EVENTS) + 1))


def test_a_line_of_the_longest_prints_is_no_longer_than_a_line_may_be() -> None:
    stream = io.BytesIO()
    output = Output(stream)
    output.columns = True
    for _ in range(prints.MOST):
        output.event(*printed("\u202e" * 512, 123456789.123456789))
    output.flush()
    assert all(len(line) < protocol.MAX_LINE for line in stream.getvalue().splitlines())
