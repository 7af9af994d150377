"""Cargo's own progress, as it writes it, followed."""

from __future__ import annotations

from kernellab.build import process
from kernellab.build.progress import CargoProgress

STATUS = (
    "   Compiling syn v2.0.1",
    "    Building [======>                      ] 1/4: syn, windows-kernel-rs(build)     ",
    "    Blocking waiting for file lock on build directory",
    "    Building [=============>               ] 3/4: hello      ",
    "    Finished `dev` profile [unoptimized + debuginfo] target(s) in 2.48s",
    "",
)
NOT_STATUS = (
    "error: failed to select a version",
    "  Caused by: what",
    "warning: unused",
    "            caused something",
)


def test_what_cargo_says_of_its_work_is_progress_and_not_its_complaint() -> None:
    said: list[tuple[int, int, str]] = []
    follow = CargoProgress(lambda *step: said.append(step))
    assert all(follow.status(line) for line in STATUS)
    assert not any(follow.status(line) for line in NOT_STATUS)
    assert said == [
        (0, 0, "compiling syn"),
        (1, 4, "compiling syn, windows-kernel-rs(build)"),
        (1, 4, "blocking waiting for file lock on build directory"),
        (3, 4, "compiling hello"),
    ]


def test_crates_by_name_with_the_time_that_each_took() -> None:
    follow = CargoProgress(None)
    follow.status("   Compiling hello v0.1.0 (/somewhere/hello)")
    for package, fresh in (
        ("registry+https://example.org/index#bitflags@2.6.0", True),
        ("path+file:///somewhere/hello#0.1.0", False),
        ("path+file:///somewhere/hello#0.1.0", False),
    ):
        follow.artifact({"package_id": package, "fresh": fresh})
    (first, took), (second, long) = follow.crates
    assert (first, took, second) == ("bitflags", 0.0, "hello")
    assert long > 0


def test_a_line_that_a_carriage_return_ends_comes_at_once() -> None:
    import sys

    code = (
        "import sys; w = sys.stderr.buffer.write; w(b'one\\r'); sys.stderr.flush();"
        "print('ready', flush=True); w('z\\u00fc\\r\\nlast'.encode())"
    )
    heard: list[str] = []

    def status(line: str) -> bool:
        heard.append(line)
        return line == "one"

    ended = process.run([sys.executable, "-c", code], on_status=status)
    assert heard == ["one", "zü", "last"]
    assert (ended.stdout, ended.stderr) == ("ready\n", "zü\nlast")
