"""rustfmt on a cell's text: what changes, what stays, what is refused."""

from __future__ import annotations

import pytest

from kernellab.build import find_toolchain
from kernellab.editing import tool
from kernellab.editing.formatting import EDIT, Formatted, format_rust, reformatted
from kernellab.errors import BuildError, ToolchainError, UsageError


def test_formats_with_the_projects_settings() -> None:
    long = "let pair = (first_value, second_value, third_value, fourth_value, fifth_value);"
    assert format_rust(f"\nfn f(){{{long}}}") == f"fn f() {{\n    {long}\n}}\n"


def test_a_module_in_another_cell_is_not_looked_for() -> None:
    assert format_rust("\nmod   proto;\n") == "mod proto;\n"


def test_front_matter_stays_as_it_is() -> None:
    front = '---\n[dependencies]\nbitflags   = "2"\n---\n'
    assert format_rust(f"\n{front}fn  f() {{}}\n") == f"{front}\nfn f() {{}}\n"


def test_what_is_not_rust_is_named_by_its_line() -> None:
    with pytest.raises(BuildError, match=r"expected expression, found `;` \(cell:3\)") as caught:
        format_rust("\nfn f() {\n    let x = ;\n}\n")
    first = caught.value.diagnostics[0]
    assert (first.file, first.line, first.column) == ("cell", 3, 13)
    assert "--> cell:3:13" in first.text and "stdin" not in first.text


@pytest.mark.parametrize("text", ["", "\n", "\n   \n\n"])
def test_nothing_to_format(text: str) -> None:
    with pytest.raises(UsageError, match="there is no Rust in cell"):
        format_rust(text)


def test_no_rustfmt(monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    toolchain = dataclasses.replace(find_toolchain(), rustfmt=None)
    monkeypatch.setattr(tool, "find_toolchain", lambda: toolchain)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolchainError, match="rustup component add rustfmt"):
        format_rust("\nfn f() {}\n")


def change(before: str, body: str = "fn f() {}\n") -> Formatted:
    return reformatted("rustdriver", "hello", None, before, body)


def test_the_magics_line_and_what_stands_before_it_stay() -> None:
    before = "\n%%rustdriver  hello --release \nfn f(){}"
    assert change(before).after == "\n%%rustdriver  hello --release \nfn f() {}"


def test_the_edit_is_whole_and_says_which_cell() -> None:
    made = change("%%rustdriver hello\nfn f(){}\n")
    bundle = made._repr_mimebundle_()
    assert bundle[EDIT] == {
        "version": 1,
        "find": {"magic": "rustdriver", "name": "hello", "path": None},
        "expected": "%%rustdriver hello\nfn f(){}\n",
        "text": "%%rustdriver hello\nfn f() {}\n",
    }
    assert "-fn f(){}\n+fn f() {}" in bundle["text/plain"]
    assert "fn f() {}</span>" in bundle["text/html"]


def test_already_formatted_says_so_and_edits_nothing() -> None:
    made = change("%%rustdriver hello\nfn f() {}")
    bundle = made._repr_mimebundle_()
    assert not made.changed and EDIT not in bundle
    assert bundle["text/plain"] == "hello is already formatted."


def test_a_cell_is_no_markup() -> None:
    made = change('%%rustdriver hello\nfn f(){let _="<script>x</script>";}', "fn f() {}\n")
    assert "<script" not in made._repr_mimebundle_()["text/html"]
