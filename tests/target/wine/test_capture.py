"""The agent as the capture driver's reader, in Wine.

Wine has no debug print callbacks, and the capture driver does not run there: a driver of the tests
has a device that gives the same records, and it is fed by what is written to it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kernellab.lab import Target

FEED = Path(__file__).parent / "drivers" / "feed.c"


def test_lines_of_a_capture_driver_are_there_when_the_call_returns(
    wine: Target, build_c_driver: Callable[[str, str], Path]
) -> None:
    driver = wine.load(build_c_driver("feed", FEED.read_text(encoding="utf-8")))
    assert driver.log.lines == []
    wine.call("capture", device=r"\\.\feed-tap")
    wine.call("sleep", seconds=0)
    assert driver.log.lines == ["early"]  # from before somebody read it
    with driver.open() as output:
        for number in range(20):
            output.write(f"line {number}\nand another\n".encode())
            assert driver.log.lines[-2:] == [f"line {number}", "and another"]
        output.write("".join(f"{n:0500}\n" for n in range(1000)).encode())
        assert driver.log.lines[-1000:] == [f"{n:0500}" for n in range(1000)]
        assert driver.log.dropped == 0
        output.write(b"!one was lost\n")
    last = driver.log.records()[-1]
    assert (last.text, last.component, last.level, last.irql) == ("!one was lost\n", 77, 27, 0)
    assert 0 < last.time < 1000
    assert driver.log.dropped == 1
