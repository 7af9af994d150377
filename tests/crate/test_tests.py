"""``#[test]`` functions found in a driver's source and wrapped, without a line moved."""

from __future__ import annotations

import pytest

from kernellab.crate import for_testing
from kernellab.errors import UsageError

MAIN = """\
use windows_kernel_rs::{kernel_module, Driver};
mod wire;

// #[test] fn in_a_comment() {}
const TEXT: &str = "#[test] fn in_a_string() {}";

#[cfg(not(test))] fn only_outside() {}

#[test]
fn plain() { assert!(true); }

#[cfg(test)]
mod tests {
    mod deeper {
        /// What it is for.
        #[test]
        #[should_panic(expected = "no way")]
        pub fn panics() {
            panic!("no way }")
        }
    }
    #[ignore = "slow"] #[test] fn later(driver: super::Driver) -> Result<(), ()> { Ok(()) }
    fn helper() {}
}

kernel_module!(Module);
"""


def test_tests_are_found_with_their_places() -> None:
    files, found = for_testing({"cell": MAIN, "wire.rs": "#[test] fn w() {}"}, "cell")
    assert [(t.name, t.file, t.line) for t in found] == [
        ("plain", "cell", 10),
        ("tests::deeper::panics", "cell", 18),
        ("tests::later", "cell", 22),
        ("w", "wire.rs", 1),
    ]
    assert [t.begin for t in found] == [9, 15, 22, 1]
    assert [t.should_panic for t in found] == [None, "no way", None, None]
    assert [t.ignored for t in found] == [None, None, "slow", None]
    assert set(files) == {"cell", "wire.rs"}


def test_no_line_is_moved_and_nothing_else_is_changed() -> None:
    files, _ = for_testing({"cell": MAIN, "data.txt": "#[test]"}, "cell")
    changed = files["cell"].split("\n")
    before = MAIN.split("\n")
    assert len(changed) == len(before)
    same = [n for n, (old, new) in enumerate(zip(before, changed, strict=True), 1) if old == new]
    differ = set(range(1, len(before) + 1)) - set(same)
    assert differ == {1, 7, 9, 10, 12, 15, 16, 17, 20, 22, 26}
    assert changed[6] == "#[cfg(not(all()))] fn only_outside() {}"
    assert changed[8] == "::windows_kernel_rs::kernel_test! { "
    assert changed[9] == "fn plain() { assert!(true); } }"
    assert changed[25] == "kernel_test_module!(Module);"
    assert files["data.txt"] == "#[test]"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("kernel_module!(Module);", "there is no test"),
        ("kernel_module!(Module); #[test]", "there is no test"),
        ("kernel_module!(Module); #[test] struct NotAFunction;", "there is no test"),
        ("#[test] fn t() {}", "tests need kernel_module!"),
    ],
)
def test_what_cannot_be_tested_is_said(source: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        for_testing({"cell": source}, "cell")
