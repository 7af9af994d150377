"""The vocabulary: what is written is read back, and the public form stays."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernellab import protocol
from kernellab.protocol import BugcheckEvent, DbgPrint, Dropped, ErrorEvent, Frame, State, Violation

FRAMES = (
    Frame(address="0x10", module="hello", rva=16, function="f", file="cell", line=7, inlined=True),
    Frame(address="0x20"),
)
EXAMPLES = [
    State(seq=1, driver="hello", state="failed", status="STATUS_UNSUCCESSFUL"),
    DbgPrint(seq=2, driver="hello", text="a\n\u202e<b>\x1b[31m", time=0.5, component=77, thread=4),
    Violation(seq=3, driver="hello", rule="leak-pool", message="m", frames=FRAMES),
    BugcheckEvent(
        seq=4,
        driver="hello",
        code="0xD1",
        name="DRIVER_IRQL_NOT_LESS_OR_EQUAL",
        parameters=("0x0", "0x2", "0x1", "0x1000"),
        frames=FRAMES,
        registers={"rip": "0x1000"},
    ),
    Dropped(seq=5, count=12),
    ErrorEvent(seq=6, error="timeout", message="m", frames=FRAMES),
]


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda e: e.kind)
def test_event_survives_the_wire(event: protocol.Event) -> None:
    line = protocol.encode_line(protocol.event_fields(event))
    assert line.count(b"\n") == 1
    assert line.isascii()
    assert protocol.parse_event(protocol.decode_line(line)) == event


def test_documented_form_of_a_print() -> None:
    fields = protocol.event_fields(EXAMPLES[1])
    assert list(fields)[:2] == ["event", "seq"]
    assert fields["event"] == "dbgprint"
    assert set(fields) == {
        *("event", "seq", "driver", "text", "time", "level", "component", "irql", "thread")
    }


def test_error_event_calls_its_cause_kind() -> None:
    assert protocol.event_fields(EXAMPLES[5])["kind"] == "timeout"


def test_unknown_fields_are_ignored() -> None:
    message = {"event": "dropped", "seq": 1, "count": 2, "new": {"x": 1}}
    assert protocol.parse_event(message) == Dropped(seq=1, count=2)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    ["event", "seq", "driver", "text", "frames", "parameters", "registers", "code", "kind"]
)


@given(st.sampled_from(sorted(protocol.EVENTS)), st.dictionaries(names, json_values, max_size=6))
def test_any_json_is_an_event_or_a_protocol_error(kind: str, fields: dict[str, object]) -> None:
    message = json.loads(json.dumps({**fields, "event": kind}))
    try:
        event = protocol.parse_event(message)
    except protocol.ProtocolError:
        return
    assert isinstance(event, protocol.EVENTS[kind])
