"""The time limit of what runs: over once, moved, and lifted."""

from __future__ import annotations

import threading

from kernellab.target.sim.deadline import Deadline

#: Longer than any test may take.
_LONG = 1000.0


def test_it_is_over_once_each_time_it_is_set() -> None:
    late = threading.Semaphore(0)
    deadline = Deadline(late.release)
    for _ in range(3):
        deadline.set(0.01)
        assert late.acquire(timeout=30)
    assert not late.acquire(timeout=0.05)


def test_a_sooner_limit_takes_the_place_of_a_later_one() -> None:
    late = threading.Semaphore(0)
    deadline = Deadline(late.release)
    deadline.set(_LONG)
    deadline.clear()
    deadline.set(0.01)
    assert late.acquire(timeout=30)


def test_a_limit_that_was_lifted_or_moved_back_is_not_over() -> None:
    late = threading.Semaphore(0)
    deadline = Deadline(late.release)
    for _ in range(10):
        deadline.set(0.02)
        deadline.clear()
    assert not late.acquire(timeout=0.1)
    deadline.set(0.02)
    deadline.set(_LONG)
    assert not late.acquire(timeout=0.1)
