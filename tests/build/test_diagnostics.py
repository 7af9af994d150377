"""Messages of rustc and lld in forms that a real build seldom shows."""

from __future__ import annotations

from typing import Any

import pytest

from kernellab.build.diagnostics import (
    Diagnostic,
    Suggestion,
    fields,
    from_compiler,
    from_linker,
    plain,
    restore,
)


def span(file: str, line: int, column: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "file_name": file,
        "line_start": line,
        "line_end": line,
        "column_start": column,
        "column_end": column + 3,
        "is_primary": True,
        **more,
    }


def one(**message: Any) -> Diagnostic:
    base = {"level": "error", "message": "m", "spans": [], "children": [], "rendered": "error: m\n"}
    (found,) = from_compiler({**base, **message}, file_name="cell")
    return found


def test_the_cells_span_is_taken_from_the_expansion() -> None:
    inner = span("windows-kernel-rs/src/print.rs", 40)
    middle = span("/registry/x/src/lib.rs", 3, expansion={"span": span("cell", 9, 5)})
    found = one(spans=[{**inner, "expansion": {"span": middle}}])
    assert (found.file, found.line, found.column) == ("cell", 9, 5)


def test_a_span_elsewhere_stays_there() -> None:
    found = one(spans=[span("windows-kernel-rs/src/print.rs", 40)])
    assert (found.file, found.line) == ("windows-kernel-rs/src/print.rs", 40)


def test_a_crates_registry_is_not_named() -> None:
    path = "registry/registry.example.org-6f17d22bba15001f/zerocopy-0.8.64/src/lib.rs"
    found = one(spans=[span(path, 64)], rendered=f"error: m\n --> {path}:64:1\n")
    assert found.file == "zerocopy-0.8.64/src/lib.rs"
    assert found.text == "error: m\n --> zerocopy-0.8.64/src/lib.rs:64:1\n"


def test_secondary_spans_do_not_count() -> None:
    found = one(spans=[span("cell", 2, is_primary=False), span("cell", 7)])
    assert found.line == 7


def test_the_label_is_the_main_spans() -> None:
    other = span("cell", 2, label="arguments are wrong", is_primary=False)
    assert (
        one(spans=[other, span("cell", 3, label="expected `u8`\x1b")]).label
        == "expected `u8`\ufffd"
    )
    assert one(spans=[other, span("cell", 3, label=None)]).label == ""


def test_without_a_span() -> None:
    found = one(code={"code": "E0152", "explanation": None})
    assert (found.file, found.line, found.column, found.code) == ("", 0, 0, "E0152")


@pytest.mark.parametrize("level", ["error: internal compiler error", "error"])
def test_every_kind_of_error_is_an_error(level: str) -> None:
    assert one(level=level).level == "error"


def test_what_is_missing_is_no_trouble() -> None:
    (found,) = from_compiler({}, file_name="cell")
    assert found == Diagnostic("error", "", "error: \n")


def test_suggestions() -> None:
    child = {
        "message": "try this",
        "spans": [
            span(
                "cell", 3, 5, suggested_replacement="x", suggestion_applicability="MaybeIncorrect"
            ),
            span("other.rs", 3, 5, suggested_replacement="y"),
            span("cell", 4, 5),
        ],
    }
    found = one(children=[child])
    assert found.suggestions == (Suggestion("try this", "x", "cell", 3, 5, 3, 8, "MaybeIncorrect"),)


def test_json_there_and_back() -> None:
    found = Diagnostic("warning", "m", "\x1b[1mm", "c", "cell", 2, 3, (
        Suggestion("s", "r", "cell", 1, 2, 3, 4, "MachineApplicable"),))  # fmt: skip
    assert restore(fields(found)) == found


def test_folders_of_this_machine_are_taken_off() -> None:
    (found,) = from_compiler(
        {"level": "error", "message": "m", "rendered": "error: m\n ::: /a b/work/x/src/lib.rs:1\n"},
        file_name="cell",
        hide=["/a b/work", ""],
    )
    assert found.text == "error: m\n ::: x/src/lib.rs:1\n"


LINKED = """\
lld-link: error: undefined symbol: ZwFoo
>>> referenced by /tmp/rustcAbC/x.o:(hello::call)
lld-link: error: <root>: undefined symbol: DriverEntry
lld-link: error: undefined symbol: __imp_IoBar
lld-link: error: undefined symbol: _ZN5hello4call17h0123456789abcdefE
lld-link: error: duplicate symbol: memcpy
>>> defined at /tmp/a.o
lld-link: error: could not open '/tmp/dir/x.lib': No such file or directory
lld-link: warning: ignored
"""


def test_what_the_linker_complains_of() -> None:
    found = list(from_linker(LINKED))
    assert [(d.code, d.level) for d in found] == [
        ("unresolved-symbol", "error"),
        ("no-driver-entry", "error"),
        ("unresolved-symbol", "error"),
        ("unresolved-symbol", "error"),
        ("duplicate-symbol", "error"),
        ("linker", "error"),
    ]
    assert [d.message for d in found[2:4]] == [
        "unresolved external symbol `IoBar`",
        "unresolved external symbol `hello::call`",
    ]
    assert "'x.lib'" in found[5].message
    assert not any("/tmp" in d.text for d in found)


@pytest.mark.parametrize("program", ["rust-lld", "lld-link-19", "/usr/bin/lld-link", "lld"])
def test_every_name_of_the_linker(program: str) -> None:
    assert len(list(from_linker(f"{program}: error: undefined symbol: X\n"))) == 1


def test_a_failed_link_with_words_of_its_own_stays_as_it_is() -> None:
    child = {"level": "note", "message": "something odd", "spans": []}
    found = one(message="linking with `x` failed: exit status: 1", children=[child])
    assert found.message.startswith("linking with")


def test_our_own_messages_are_escaped() -> None:
    found = plain("error", "unresolved `<b>\x1b[31m\x07`")
    assert "\x07" not in found.ansi and "<b>" not in found.html
    assert found.text.startswith("error: unresolved `<b>")


@pytest.mark.parametrize(
    ("message", "help_"),
    [
        ("cannot find module or crate `std` in this scope", "a driver has no `std`"),
        ("unresolved import `std`", "a driver has no `std`"),
        ("cannot find macro `println` in this scope", "windows_kernel_rs::prelude"),
    ],
)
def test_where_rustcs_help_does_not_fit_a_driver_there_is_more(message: str, help_: str) -> None:
    rendered = f"error: {message}\n  = help: use `cargo add std` to add it\n\n"
    found = one(message=message, rendered=rendered)
    assert help_ in found.text
    assert "cargo add" not in found.text


def test_other_messages_are_left_as_rustc_wrote_them() -> None:
    assert "help" not in one(message="mismatched types", rendered="error: x\n").text
