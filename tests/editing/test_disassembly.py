"""Machine code beside its source: which function is meant, what is named, how it is shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import kernellab
from kernellab.build import BuildResult
from kernellab.editing.code import quoted, simple_name, template
from kernellab.editing.disassembly import Disassembly, disassemble
from kernellab.errors import LoadError, UsageError
from kernellab.sources import build_text

SOURCE = """
use windows_kernel_rs::{kernel_module, println, Driver, Error, KernelModule};

struct Module(u32);

fn helper(x: u32) -> u32 {
    // No code stands here.
    if x > 3 { x.wrapping_mul(7) } else { x }
}

#[inline(never)]
fn outer(x: u32) -> u32 {
    helper(x).wrapping_add(1)
}

struct Other;

impl Other {
    #[inline(never)]
    fn twice(&self, n: u32) -> u32 { n * 2 }
}

impl Module {
    #[inline(never)]
    fn twice(&self) -> u32 { self.0 ^ 2 }
}

impl KernelModule for Module {
    fn init(_: Driver, path: &str) -> Result<Self, Error> {
        let m = Module(path.len() as u32);
        println!("sum {} of <b>", outer(m.0) + m.twice() + Other.twice(m.0));
        Ok(m)
    }

    fn cleanup(&mut self, _: Driver) {}
}

kernel_module!(Module);
"""


@pytest.fixture(scope="module", params=[False, True], ids=["debug", "release"])
def built(request: pytest.FixtureRequest) -> BuildResult:
    return build_text("parts", SOURCE, release=request.param)


def code_of(made: Disassembly) -> str:
    """The right column, without addresses."""
    return "\n".join(line for part in made.parts for b in made.blocks(part) for line in b.lines)


def test_instructions_stand_under_their_source_line(built: BuildResult) -> None:
    made = disassemble(built, "outer")
    assert made.name == "parts::outer" and len(made.parts) == 1
    places = {
        (line.place, line.depth, line.text.strip())
        for block in made.blocks(made.parts[0])
        for line in block.source
    }
    assert ("cell:13", 0, "helper(x).wrapping_add(1)") in places
    # What was inlined is named, with its own line.
    assert any(p == "cell:8" and d == 1 and t.startswith("helper: if x > 3") for p, d, t in places)
    assert made.instructions[-1].mnemonic == "ret"
    assert [i.address for i in made.instructions] == sorted(i.address for i in made.instructions)


def test_the_code_is_the_images_own(built: BuildResult) -> None:
    made = disassemble(built, "outer")
    starts = [i.address for i in made.instructions]
    ends = [i.address + i.size for i in made.instructions]
    assert starts[1:] == ends[:-1]  # nothing is left out


def test_an_inlined_function_is_shown_where_it_went(built: BuildResult) -> None:
    made = disassemble(built, "helper")
    assert made.titles[0].startswith("helper, inlined into outer: ")
    assert all(part.inlined for part in made.parts)
    outer = {i.address for i in disassemble(built, "outer").instructions}
    assert {i.address for i in made.instructions} < outer


def test_calls_and_texts_are_named(built: BuildResult) -> None:
    text = code_of(disassemble(built, "init"))
    assert re.search(r"call +outer\b", text) and re.search(r"call +Module::twice", text)
    assert '; "sum {} of <b>\\n"' in text


def test_calls_of_the_kernel_are_named(built: BuildResult) -> None:
    assert re.search(r"call +DbgPrintEx  +; the kernel's", code_of(disassemble(built, "print_at")))


def test_jumps_have_labels_and_panics_their_place() -> None:
    made = disassemble(build_text("parts", SOURCE), "Other::twice")
    text = code_of(made)
    labels = re.findall(r"^(L\d+):$", text, re.MULTILINE)
    assert labels and all(re.search(rf"j\w+ +{label}\b", text) for label in labels)
    assert "; cell:20:38" in text  # the multiplication's overflow
    assert "panic_const_mul_overflow" in text


@pytest.mark.parametrize(
    "name",
    ["Module::twice", "parts::Module::twice", "module::twice", "MODULE::Twice"],
)
def test_ways_to_name_a_function(built: BuildResult, name: str) -> None:
    assert disassemble(built, name).name == "parts::Module::twice"


def test_driver_entry_is_found_as_rust_spells_it(built: BuildResult) -> None:
    assert disassemble(built, "DriverEntry").name == "DriverEntry"
    assert disassemble(built, "driver_unload").name == "parts::_::DriverUnload"


def test_a_name_that_several_have(built: BuildResult) -> None:
    with pytest.raises(UsageError, match="can be Module::twice, Other::twice: give more"):
        disassemble(built, "twice")


def test_a_name_that_none_has(built: BuildResult) -> None:
    with pytest.raises(UsageError, match=r"no function 'outre' .*did you mean outer\?"):
        disassemble(built, "outre")
    with pytest.raises(UsageError, match=r"parts has code of .*Module::init.*What nothing calls"):
        disassemble(built, "zzzzzz")


@pytest.mark.parametrize("name", ["?", "", "  "])
def test_which_functions_there_are(built: BuildResult, name: str) -> None:
    with pytest.raises(UsageError, match=r"^parts has code of (?=.*Module::init)(?=.*outer)"):
        disassemble(built, name)


def test_html_is_escaped_and_text_has_columns(built: BuildResult) -> None:
    bundle = disassemble(built, "init")._repr_mimebundle_()
    assert "&lt;b&gt;" in bundle["text/html"] and "<b>" not in bundle["text/html"]
    assert '<th scope="col"' in bundle["text/html"]
    assert re.search(r"^ +\d+ │ +println!.* [0-9a-f]{4}  ", bundle["text/plain"], re.MULTILINE)


def test_the_frameworks_functions_have_their_source(built: BuildResult) -> None:
    made = disassemble(built, "windows_kernel_rs::pool::resolve")
    sources = [line.text for b in made.blocks(made.parts[0]) for line in b.source]
    assert any("fn resolve" in text for text in sources)


def test_a_path_alone_has_no_source_but_lines(built: BuildResult) -> None:
    made = kernellab.disassemble(str(built.sys), "outer")
    places = {line.place for b in made.blocks(made.parts[0]) for line in b.source}
    assert "cell:13" in places and "wrapping_add" not in str(made).split("\n", 1)[0]


def test_a_loaded_driver(build_driver: Callable[..., BuildResult]) -> None:
    with kernellab.connect("sim") as target:
        driver = target.load(build_driver("hello", 'println!("x");').sys)
        assert driver.disassembly("driver_entry").instructions


def test_files_that_cannot_be_read(built: BuildResult, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read gone.sys"):
        disassemble(tmp_path / "gone.sys", "init")
    alone = tmp_path / "alone.sys"
    alone.write_bytes(built.sys.read_bytes())
    with pytest.raises(UsageError, match=r"no symbols beside alone.sys"):
        disassemble(alone, "init")
    (tmp_path / "alone.pdb").write_bytes(b"damaged")
    with pytest.raises(UsageError, match="name no function"):
        disassemble(alone, "init")
    alone.write_bytes(b"MZ")
    with pytest.raises(LoadError):
        disassemble(alone, "init")


@pytest.mark.parametrize(
    ("name", "simple"),
    [
        ("<parts::Module as windows_kernel_rs::KernelModule>::init", "Module::init"),
        ("<Module as KernelModule>::init", "Module::init"),
        ("parts::_::DriverUnload", "DriverUnload"),
        ("<core::fmt::Formatter>::pad", "core::fmt::Formatter::pad"),
        ("<u32 as core::fmt::Display>::fmt", "<u32 as core::fmt::Display>::fmt"),
        ("windows_kernel_rs::print::print", "windows_kernel_rs::print::print"),
        ("<broken", "<broken"),
        ("", ""),
    ],
)
def test_simple_names(name: str, simple: str) -> None:
    assert simple_name(name, "parts") == simple


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x05hello\xc0\x01!\x00rest", "hello{}!"),
        (b"\x80\x03\x00abc\x00", "abc"),
        (b"\xc1abcd\x01x\x00", "{}x"),
        (b"\x05hel", ""),
        (b"\x05hel\xff\xff\x00", ""),
        (b"\x90abc\x00", ""),
        (b"", ""),
    ],
)
def test_templates(data: bytes, text: str) -> None:
    assert template(data) == text


def test_a_long_text_is_cut() -> None:
    assert quoted('a"\n') == '"a\\"\\n"'
    assert len(quoted("x" * 1000)) < 60
