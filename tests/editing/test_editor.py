"""Completion, help and messages from the real rust-analyzer and the real compiler."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from kernellab.cell.rust_cell import LONGEST, RustCell, rust_cell
from kernellab.cell.source import CellSource, cell_source
from kernellab.editing.editor import Editor
from kernellab.editing.help import Help
from tests.drivers import BODY_LINE, driver_source
from tests.editing.analyzer_here import needs_analyzer, until, warm_editor

pytestmark = needs_analyzer

FILES: dict[str, dict[str, CellSource]] = {}


@pytest.fixture(scope="module")
def editor() -> Iterator[Editor]:
    with warm_editor(lambda driver: FILES.get(driver, {})) as made:
        yield made


def at(text: str) -> tuple[RustCell, int, int]:
    """The cell with its ``|`` taken out, and the line and column where that was."""
    before, _, after = text.partition("|")
    cell = rust_cell(before + after)
    assert cell is not None
    return cell, before.count("\n"), len(before) - before.rfind("\n") - 1


def names(editor: Editor, text: str) -> list[str]:
    return [each.text for each in editor.complete(*at(text))]


def shown(editor: Editor, text: str) -> Help:
    return editor.help(*at(text))


def cell(body: str, name: str = "hello") -> str:
    return f"%%rustdriver {name}\n{driver_source(body)}"


def test_methods_of_the_framework_and_of_the_library(editor: Editor) -> None:
    found = editor.complete(*at(cell('let text = "abc"; text.spl|')))
    assert "split_once" in [each.text for each in found]
    assert {each.kind for each in found} == {"method"}
    assert "as_raw" in names(editor, cell("|").replace("init(_:", "init(d:").replace("|", "d.|"))


def test_names_of_the_bindings(editor: Editor) -> None:
    found = names(editor, cell("windows_kernel_sys::IoCreateDev|"))
    assert "IoCreateDevice" in found
    # The word grows: the same place, chosen from what is known, and found all the same.
    assert names(editor, cell("windows_kernel_sys::IoCreateDevice|")) == ["IoCreateDevice"]


def test_a_driver_has_no_std(editor: Editor) -> None:
    assert names(editor, cell("std::fs::|")) == []
    assert "mem" in names(editor, cell("core::|"))


def test_macros_come_without_placeholders(editor: Editor) -> None:
    found = editor.complete(*at(cell("printl|")))
    assert [(each.text, each.kind) for each in found] == [("println!", "macro")]


def test_where_the_cell_is_no_rust_yet(editor: Editor) -> None:
    torn = cell("let text = String::n| @ }} ) fn (").rpartition("kernel_module")[0]
    assert "new" in names(
        editor, torn.replace("use w", "extern crate alloc; use alloc::string::String; use w", 1)
    )


def test_characters_outside_the_basic_plane_before_the_cursor(editor: Editor) -> None:
    assert "len" in names(editor, cell('let s = "𝄞🦀𝄞"; /* 🦀 */ s.le|'))
    assert "str" in shown(editor, cell('let s = "𝄞🦀𝄞"; s.le|n();')).markdown


def test_empty_lines_above_the_magic(editor: Editor) -> None:
    assert "len" in names(editor, "\n\n" + cell('let s = "a"; s.le|'))


@pytest.mark.parametrize("text", ["%%rustdriver\n|", "%%rustdriver --dep\nfn f() { 1u8.cou| }"])
def test_a_magic_line_that_is_not_finished(editor: Editor, text: str) -> None:
    assert isinstance(names(editor, text), list)


def test_places_that_are_not_there(editor: Editor) -> None:
    made = rust_cell(cell("1"))
    assert made is not None
    for line, column in ((-1, 0), (0, 3), (99_999, 0), (2, 99_999), (2, -5)):
        assert editor.complete(made, line, column) == []
        assert not editor.help(made, line, column)


def test_a_lone_surrogate_harms_nothing(editor: Editor) -> None:
    names(editor, cell('let s = "\ud83d"; s.le|'))
    assert "len" in names(editor, cell('let s = "after"; s.le|'))


def test_a_megabyte(editor: Editor) -> None:
    filler = "// 0123456789012345678901234567890123456789012345678901234567\n"
    big = cell('let s = "a"; s.le|').replace("kernel_module!", filler * 16_000 + "kernel_module!")
    assert 900_000 < len(big) < LONGEST
    assert until(lambda: "len" in names(editor, big))
    assert rust_cell(big + filler * 2_000) is None


def test_further_files(editor: Editor) -> None:
    main = f"%%rustdriver several\nmod wire;\n{driver_source('wire::lim|;')}"
    FILES["several"] = {
        "wire.rs": cell_source("several", "wire.rs", "pub fn limit() -> u32 { 3 }\n", "rustfile")
    }
    assert names(editor, main) == ["limit"]
    wire = "%%rustfile several wire.rs\npub fn limit() -> u32 { 3u32.count_o| }"
    assert names(editor, wire) == ["count_ones"]
    # Before its cell was run, and before `mod frame;` is written.
    frame = "%%rustfile several wire/frame.rs\nfn f() { 3u32.count_o| }"
    assert names(editor, frame) == ["count_ones"]


def test_hover_says_what_it_is_and_where_more_is(editor: Editor) -> None:
    found = shown(editor, cell("Some(3u32).ma|p(|n| n);"))
    assert "pub const fn map" in found.markdown and "Maps an `Option<T>`" in found.markdown
    assert found.links[0][1].startswith("https://doc.rust-lang.org/")
    assert "```" not in found.plain and "Maps an" in found.plain
    own = shown(editor, cell('print|ln!("a");'))
    assert "IRQL" in own.markdown and "docs.rs" not in own.markdown


def test_a_call_of_the_kernel_shows_its_arguments_and_its_page(editor: Editor) -> None:
    call = "unsafe { windows_kernel_sys::IoCreateDevice(driver, 3|) };"
    signature = shown(editor, cell(call)).signature
    assert signature is not None and signature.active == 1
    assert signature.parameters[1] == "deviceextensionsize: u32"
    assert "Argument 2 of 7: **`deviceextensionsize: u32`**" in shown(editor, cell(call)).markdown
    page = shown(editor, cell(call.replace("|", "").replace("Create", "Cre|ate"))).links[0]
    assert page[0].startswith("IoCreateDevice in Microsoft's") and page[1].endswith(
        "IoCreateDevice"
    )


def test_the_compiler_finds_what_is_wrong(editor: Editor) -> None:
    made = rust_cell(cell("let v = [[0u8; 4]]; let a = v; nosuch(); let b: u8 = 'x';"))
    assert made is not None
    found = editor.check(made)
    assert {each.code for each in found if each.level == "error"} == {"E0425", "E0308"}
    assert {each.line for each in found if each.level == "error"} == {BODY_LINE + 1}
    assert editor.hints(made)[0].severity == "error"  # rust-analyzer finds a part of it


def test_it_is_started_anew_where_it_is_killed(editor: Editor) -> None:
    analyzer = editor.analyzer
    assert analyzer is not None
    first = analyzer.pid
    os.kill(first, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    assert until(lambda: analyzer.pid not in (0, first) and editor.wait(1))
    assert "len" in names(editor, cell('let s = "again"; s.le|'))
    assert not psutil.pid_exists(first)
