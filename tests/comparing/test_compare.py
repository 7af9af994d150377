"""One driver on two targets: what is found, how it is shown, and what the exit code says."""

from __future__ import annotations

from pathlib import Path

import pytest

import kernellab
from kernellab.cli import main
from kernellab.comparing.outcome import Comparison, Side, Step, rows
from kernellab.comparing.report import as_page, as_text
from kernellab.errors import TargetLost, UsageError
from kernellab.lab import Target
from kernellab.target.wine import installed
from tests.drivers import BODY_LINE, driver_source
from tests.target.conftest import wine_or_skip

DEVICE = Path(__file__).parents[1] / "target" / "drivers" / "device.rs"


@pytest.fixture(autouse=True)
def _wine() -> None:
    wine_or_skip()


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.rs"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_same_on_both_is_exit_code_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = 'println!("at {:#x}", _driver_at as *const () as usize);'
    source = write(
        tmp_path, "alike", driver_source(where, extra="fn _driver_at() {} // its own address")
    )
    assert main(["compare", str(source), "--targets", "sim,wine"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0] == "alike: the same on sim, wine"
    assert "=  load: STATUS_SUCCESS" in said
    assert "log of sim and wine: 2 lines" in said


def test_a_difference_is_shown_with_both_sides_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crash = "unsafe { core::ptr::null_mut::<u32>().write_volatile(1) }"
    source, page = write(tmp_path, "crash", driver_source(crash)), tmp_path / "report.html"
    assert main(["compare", str(source), "--html", str(page)]) == 1
    said = capsys.readouterr().out
    assert "crash: different on sim, wine: load" in said
    assert (
        f"sim   bug check 0x7e SYSTEM_THREAD_EXCEPTION_NOT_HANDLED at crash.rs:{BODY_LINE}" in said
    )
    assert f"wine  bug check 0x1e KMODE_EXCEPTION_NOT_HANDLED at crash.rs:{BODY_LINE}" in said
    html = page.read_text(encoding="utf-8")
    assert "0x7e" in html
    assert "0x1e" in html


def test_requests_and_a_client_are_compared(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    script = tmp_path / "client.py"
    script.write_text(
        "print(target.name)\nwith target.open(r'\\\\.\\Shared') as file:\n    file.write(b'x')\n"
    )
    words = ["compare", str(DEVICE), "--client", str(script)]
    assert main([*words, "--ioctl", "Shared:0x222000::4", "--ioctl", "Shared:0x22200C"]) == 1
    said = capsys.readouterr().out
    assert r"=  1. ioctl 0x222000 on \\.\Shared: 4 bytes: 01 00 00 00" in said
    assert r"=  2. ioctl 0x22200c on \\.\Shared: STATUS_INVALID_DEVICE_REQUEST" in said
    assert "different on sim, wine: client's output" in said
    assert "sim  - sim" in said
    assert "wine + wine" in said


def test_what_cannot_be_run_is_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = write(tmp_path, "broken", driver_source("nothing_like_this();"))
    assert main(["compare", str(broken)]) == 2
    assert "nothing_like_this" in capsys.readouterr().err
    assert main(["compare", str(broken), "--targets", "sim"]) == 2
    assert "two targets or more" in capsys.readouterr().err
    assert main(["compare", str(broken), "--targets", "sim,nobody"]) == 2
    assert "no target 'nobody'" in capsys.readouterr().err
    assert main(["compare", str(tmp_path / "none.rs")]) == 2
    monkeypatch.setenv(installed.VARIABLE, "/nowhere/wine64")
    good = write(tmp_path, "good", driver_source("let _ = 1;"))
    assert main(["compare", str(good)]) == 2
    assert "/nowhere/wine64" in capsys.readouterr().err


def test_in_python_a_loaded_driver_and_a_function(hello: Path) -> None:
    def client(target: Target, driver: kernellab.Driver) -> int:
        return len(driver.log.lines)

    with kernellab.connect("sim") as machine:
        found = kernellab.compare(machine.load(hello), "sim,wine", client=client)
    assert found
    assert found.sides[1].steps == (
        Step("load", "STATUS_SUCCESS"),
        Step("client", "1"),
        Step("unload", "unloaded"),
    )
    with pytest.raises(UsageError, match="two targets"):
        kernellab.compare(hello, ["wine", "wine"])
    with pytest.raises(UsageError, match="its source"):
        kernellab.compare(hello, tests=True)
    with pytest.raises(TargetLost), pytest.MonkeyPatch.context() as patch:
        patch.setenv(installed.VARIABLE, "/nowhere/wine64")
        kernellab.compare(hello)


def test_its_own_tests_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tests = (
        "#[test] fn adds() { assert_eq!(1 + 1, 2); }\n"
        '#[test] fn fails() { panic!("as it should"); }\n'
    )
    source = write(tmp_path, "tested", driver_source("let _ = 1;", extra=tests))
    assert main(["compare", str(source), "--test"]) == 0
    said = capsys.readouterr().out
    assert "=  test adds: passed" in said
    assert "=  test fails: failed" in said


def test_logs_are_aligned_and_hostile_text_is_harmless() -> None:
    one, two = ("a", "b", "at 0xfffff80012345678", "end"), ("a", "at 0x7f0012345678", "c", "end")
    assert [(row.first, row.second) for row in rows(one, two) if not row.same] == [
        ("b", None),
        (None, "c"),
    ]
    bad = "\x1b]0;gone\x07<script>alert(1)</script>\u202e"
    found = Comparison(
        "d", (Side("sim", (Step("load", "x", bad),), (bad,)), Side("wine", (Step("load", bad),)))
    )
    text, page = as_text(found), as_page(found)
    assert not {"\x1b", "\x07", "\u202e"} & (set(text) | set(page))
    assert "<script>" not in page


def test_another_order_is_told_as_that() -> None:
    found = Comparison("d", (Side("sim", log=("a", "b")), Side("wine", log=("b", "a"))))
    assert (found.same, found.only_order) == (False, True)
    assert "the order of its lines alone" in as_text(found)
