"""Tests of a driver's own, run in the simulated kernel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kernellab.authoring import new_crate
from kernellab.lab import Target, connect
from kernellab.sources import build_tests, build_text
from kernellab.testing import TestReport, run_tests
from tests.kernel import Notebook
from tests.test_cli import kernellab

SOURCE = """
#![forbid(unsafe_code)]
extern crate alloc;
use alloc::boxed::Box;
use windows_kernel_rs::{Driver, Error, KernelModule, kernel_module, println};
mod wire;

struct Module;
impl KernelModule for Module {
    fn init(_: Driver, _: &str) -> Result<Self, Error> {
        println!("loaded");
        Ok(Module)
    }
    fn cleanup(&mut self, _: Driver) { println!("unloaded"); }
}
kernel_module!(Module);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds() { assert_eq!(wire::double(2), 4); }

    #[test]
    fn is_wrong() {
        println!("about to compare");
        assert_eq!(wire::double(2), 5, "doubled");
    }

    #[test]
    fn returns_an_error(_driver: Driver) -> Result<(), Error> { Err(Error::INVALID_PARAMETER) }

    #[test]
    fn leaks() { Box::leak(core::hint::black_box(Box::new(1))); }

    #[test]
    fn never_ends() { loop { core::hint::spin_loop(); } }

    /// The module itself.
    #[test]
    fn module_starts(driver: Driver) -> Result<(), Error> {
        let Module = Module::init(driver, "")?;
        Ok(())
    }

    #[test]
    #[should_panic(expected = "no way")]
    fn panics() { panic!("no way") }

    #[test]
    #[should_panic(expected = "no way")]
    fn does_not_panic() {}

    #[test]
    #[ignore = "not today"]
    fn another_day() {}
}
"""
WIRE = """\
pub fn double(n: u32) -> u32 { 2 * n }
#[test]
fn doubles() { assert_eq!(double(4), 8); }
"""


@pytest.fixture
def target() -> Iterator[Target]:
    with connect("sim") as target:
        yield target


def run(target: Target, release: bool = False) -> TestReport:
    result, tests = build_tests("tested", SOURCE, modules={"wire.rs": WIRE}, release=release)
    driver = target.prepare(result.sys)
    return run_tests(driver, tests, budget=3_000_000)


@pytest.mark.parametrize("release", [False, True])
def test_each_test_has_its_outcome(target: Target, release: bool) -> None:
    report = run(target, release)
    outcomes = {each.name: each.outcome for each in report.results}
    assert outcomes == {
        "tests::adds": "passed",
        "tests::is_wrong": "failed",
        "tests::returns_an_error": "failed",
        "tests::leaks": "failed",
        "tests::never_ends": "failed",
        "tests::module_starts": "passed",
        "tests::panics": "passed",
        "tests::does_not_panic": "failed",
        "tests::another_day": "ignored",
        "doubles": "passed",
    }
    why = {each.name.removeprefix("tests::"): each.message for each in report.results}
    assert "panicked at cell:28" in why["is_wrong"] and "left: 4 right: 5" in why["is_wrong"]
    assert "INVALID_PARAMETER" in why["returns_an_error"]
    assert why["leaks"].startswith("verifier: leak-pool")
    assert why["leaks"].endswith("(cell:35)")
    assert "budget" in why["never_ends"] or "instructions" in why["never_ends"]
    assert "should have panicked with 'no way'" in why["does_not_panic"]
    log = next(each.log for each in report.results if each.name == "tests::module_starts")
    assert log == ("loaded",)
    assert report.summary == "4 passed, 5 failed, 1 ignored"
    assert not target.stopped


def test_only_a_build_for_tests_has_their_section() -> None:
    modules = {"wire.rs": WIRE.replace("#[test]", "#[cfg(test)]")}
    plain = build_text("plain", SOURCE, modules=modules)
    tested, _ = build_tests("tested", SOURCE, modules={"wire.rs": WIRE})
    assert b".ktest" in tested.sys.read_bytes()[:1024]
    assert b".ktest" not in plain.sys.read_bytes()[:1024]


def test_the_same_report_each_time(target: Target) -> None:
    assert str(run(target)) == str(run(target))


def test_a_report_is_readable_and_escaped() -> None:
    from kernellab.testing import TestResult

    bad = TestResult("<b>", "cell", 3, "failed", "<script>", ("<img>", "x\x1b[31m"))
    html = TestReport("d<r>", (bad,))._repr_html_()
    assert "<script" not in html and "<img" not in html and "<b>" not in html and "\x1b" not in html
    assert "✗ <b> (cell:3): <script>" in str(TestReport("d", (bad,)))


def test_in_a_notebook() -> None:
    notebook = Notebook()
    try:
        notebook.run_ok(f"%%rustfile tested wire.rs\n{WIRE}")
        line = "%%rustdriver tested --test --budget 3000000"
        result = notebook.run(line + SOURCE)
        assert (result.status, result.name) == ("error", "TestsFailed")
        assert "4 passed, 5 failed, 1 ignored" in result.text
        assert "tests::is_wrong" in result.html and "about to compare" in result.html
        assert "BUG CHECK" not in result.html  # that of a test that should panic, say
        assert notebook.value("len(tested.results)") == "10"
        notebook.run_ok(f"{line} --allow-failure{SOURCE}")
        notebook.run_ok(f"%%rustdriver tested{SOURCE}")  # and the driver itself runs as before
        assert notebook.value("tested.log.lines") == "['loaded']"
        empty = notebook.run("%%rustdriver other --test\nfn f() {}")
        assert empty.name == "UsageError" and "there is no test" in empty.traceback
    finally:
        notebook.close()


def test_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "tested.rs").write_text(SOURCE.replace("mod wire;", f"mod wire {{ {WIRE} }}"))
    ran = kernellab("test", "tested.rs", "--budget", "3000000", cwd=tmp_path)
    assert ran.returncode == 9, ran.stderr
    assert "✗ tests::is_wrong (tested.rs:29)" in ran.stdout
    ran = kernellab("test", "tested.rs", "adds", cwd=tmp_path)
    assert ran.returncode == 0 and "tested: 1 passed" in ran.stdout
    ran = kernellab("test", "tested.rs", "nothing", cwd=tmp_path)
    assert ran.returncode == 2 and "no test has 'nothing'" in ran.stderr


def test_of_a_crate_folder(tmp_path: Path) -> None:
    """It is tested as it lies there: with its own modules, and nothing in it is changed."""
    place = new_crate("mine", tmp_path / "mine")
    source = place / "src" / "lib.rs"
    source.write_text(source.read_text() + "\nmod wire;\n#[test]\nfn fine() {}\n")
    (place / "src" / "wire.rs").write_text(WIRE)
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    ran = kernellab("test", "mine", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr + ran.stdout
    assert "✓ fine (lib.rs:" in ran.stdout and "✓ doubles (wire.rs:3)" in ran.stdout
    assert before == {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}


HELD = r"""
use windows_kernel_rs::fs::File;
use windows_kernel_rs::io::{Device, DeviceOptions, Open, Operations};
use windows_kernel_rs::{kernel_module, Driver, KernelModule, Result};

struct Held;
impl Operations for Held {
    type Handle = ();
    fn create(&self, _: &Open<'_>) -> Result<()> { Ok(()) }
}
struct Module;
impl KernelModule for Module {
    fn init(_: Driver, _: &str) -> Result<Self> { Ok(Module) }
    fn cleanup(&mut self, _: Driver) {}
}
kernel_module!(Module);

#[test]
fn stays(driver: Driver) -> Result<()> {
    core::mem::forget(Device::try_new(&driver, &DeviceOptions::named("Held"), Held)?);
    core::mem::forget(File::open(r"\Device\Held")?);
    Ok(())
}
#[test]
fn goes() {}
"""


def test_a_driver_that_cannot_be_unloaded_fails_its_test_only(target: Target) -> None:
    """A handle is left open to a device that is left behind."""
    result, tests = build_tests("held", HELD)
    report = run_tests(target.prepare(result.sys), tests)
    assert [each.outcome for each in report.results] == ["failed", "passed"], str(report)
    assert report.results[0].message.startswith("it cannot be unloaded"), str(report)
