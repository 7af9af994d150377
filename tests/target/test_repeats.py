"""A request that may have come before is not done twice."""

from __future__ import annotations

import kernellab
from kernellab import protocol
from kernellab.target.repeats import Repeats, again


def test_only_what_was_seen_and_is_marked_is_a_repeat() -> None:
    repeated = Repeats()
    assert not repeated({"id": 1})
    assert not repeated({"id": 1})  # not marked: somebody counts from anew
    assert repeated({"id": 1, "again": True})
    assert not repeated({"id": 2, "again": True})
    assert repeated({"id": 2, "again": True})


def test_a_marked_line_is_the_same_request() -> None:
    line = protocol.encode_line({"id": 7, "command": "status"})
    marked = again(again(line))
    assert protocol.decode_line(marked) == {"again": True, "id": 7, "command": "status"}


def test_sim_does_a_repeated_request_once_and_answers_again() -> None:
    with kernellab.connect("sim") as lab:
        session = lab._session
        line = protocol.encode_line({"id": 1000, "command": "snapshot"})
        for each in (line, again(line), again(line)):
            session._writer.write(each)
        session._writer.flush()
        lab.status()
        before = session.malformed  # of replies that nobody had waited for
        assert 1 <= before <= 3
        session._writer.write(again(line))
        session._writer.flush()
        assert lab.snapshot()._number == 2
        assert session.malformed == before + 1
