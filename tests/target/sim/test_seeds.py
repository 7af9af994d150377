"""What is recorded of each test and asked again under other seeds: it finds what it is for."""

from __future__ import annotations

import pytest

import kernellab
from kernellab.lab import Target
from tests.target.sim.execution import Build, prelude, run
from tests.target.sim.seeds import Conversation, RecordingSession, check, lines

_LOSES = """unsafe extern "system" fn worker(_: *mut c_void) {
    for _ in 0..500 {
        let value = COUNT.load(Ordering::Relaxed);
        COUNT.store(value + 1, Ordering::Relaxed);
    }
}"""
_RACE = """let t = [spawn(worker, 0), spawn(worker, 0)]; join(t[0]); join(t[1]);
    println!("{}", COUNT.load(Ordering::Relaxed));"""


def recorded(target: Target) -> Conversation:
    session = target._session
    assert isinstance(session, RecordingSession)
    return session.now


@pytest.mark.seeds(allowed=lambda found: 500 <= int(lines(found)[0]) <= 1000)
def test_an_outcome_that_depends_on_the_seed(build_driver: Build) -> None:
    image = build_driver("seeds", f"unsafe {{ {_RACE} }}", extra=prelude(_LOSES)).sys
    with kernellab.connect("sim") as target:
        target.load(image)
        made = recorded(target)
    assert made.repeatable()
    with pytest.raises(AssertionError, match=r"seed \d+: "):
        check(Conversation(made.requests, made.said))
    with pytest.raises(AssertionError, match=r"seed \d+ gave an outcome that is not allowed"):
        check(Conversation(made.requests, made.said), lambda found: lines(found) == ["1000"])
    other = bytearray(made.said.replace(b'"irql":0', b'"irql":1', 1))
    with pytest.raises(AssertionError, match=r"the same seed gave another run(.|\n)*irql"):
        check(Conversation(made.requests, other))


def test_where_the_host_has_a_say_nothing_is_asked_again(build_driver: Build) -> None:
    image = build_driver("plain", "").sys
    with kernellab.connect("sim") as target:
        assert not recorded(target).repeatable(), "there is no driver"
        target.load(image)
        assert recorded(target).repeatable()
        target._session.start("interrupt")
        assert not recorded(target).repeatable()


@pytest.mark.seeds(any_order=True)
def test_what_is_printed_in_any_order(build_driver: Build) -> None:
    worker = 'unsafe extern "system" fn worker(c: *mut c_void) { println!("{}", c as usize); }'
    body = "let t = [spawn(worker, 1), spawn(worker, 2)]; join(t[0]); join(t[1]);"
    assert sorted(run(build_driver, "anyorder", body, worker).lines) == ["1", "2", "bye"]
