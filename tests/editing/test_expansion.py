"""Macros expanded: what is shown, what is left out, and that nothing of it stays."""

from __future__ import annotations

import pytest

from kernellab.build import build, find_toolchain, store, workspace
from kernellab.build.cargo import _key
from kernellab.crate import write_crate
from kernellab.editing.expansion import Expansion, chosen, expand_source, tidy
from kernellab.errors import BuildError, UsageError
from tests.drivers import driver_source

SOURCE = "\n#[derive(Clone)]\nstruct Part { a: u32 }\n" + driver_source('println!("x {}", 1);')


def test_macros_are_expanded() -> None:
    text = expand_source("hello", SOURCE).text
    assert "println!" not in text and "kernel_module!" not in text
    assert 'format_args!("x {0}", 1)' in text or "x 1" in text
    assert "impl ::core::clone::Clone for Part" in text and "fn DriverEntry(" in text


def test_comments_are_left_out_and_documentation_stays() -> None:
    extra = '/// Said of late.\nfn late() { // No comment.\n    /* none */ f("// text") }'
    text = expand_source("hello", f"{SOURCE}{extra}\nfn f(_: &str) {{}}\n").text
    assert '/// Said of late.\nfn late() {\n    f("// text")\n}' in text
    assert "omment" not in text and "none" not in text


def test_what_is_around_every_crate_is_left_out() -> None:
    text = expand_source("hello", SOURCE).text
    for word in ("prelude_import", "extern crate", "#![no_std]", "#![feature"):
        assert word not in text
    own = expand_source("hello", "\n#![no_std]\n" + SOURCE).text
    assert own.startswith("#![no_std]\n")


def test_one_item() -> None:
    part = expand_source("hello", SOURCE, item="Part").text
    assert part.startswith("struct Part {") and "impl ::core::clone::Clone for Part" in part
    assert "DriverEntry" not in part
    init = expand_source("hello", SOURCE, item="init").text
    assert init.startswith("fn init(_: Driver") and init.rstrip().endswith("}")


def test_an_item_that_is_not_there() -> None:
    with pytest.raises(UsageError, match=r"hello has no item 'Prat': did you mean Part\?"):
        expand_source("hello", SOURCE, item="Prat")
    with pytest.raises(UsageError, match="it has Part, "):
        expand_source("hello", SOURCE, item="zzzzzzzz")


def test_modules_are_inside() -> None:
    source = "\n" + driver_source("wire::f();", extra="mod wire;")
    wire = "\npub fn f() { debug_assert!(true); }\n"
    text = expand_source("parts", source, modules={"wire.rs": wire}).text
    assert "mod wire {" in text and "debug_assert!" not in text


def test_errors_are_the_compilers_in_the_cells_lines() -> None:
    with pytest.raises(BuildError, match=r"cannot be expanded: .*`nope`.* \(cell:3\)") as caught:
        expand_source("broken", "\n\nnope!();\n" + SOURCE)
    assert [each.level for each in caught.value.diagnostics] == ["error"]
    assert "--> cell:3:1" in caught.value.diagnostics[0].text


def test_a_build_afterwards_is_what_it_was_before() -> None:
    source = SOURCE.replace("x {}", "before and after {}")
    crate = write_crate("same", source)
    first = build(crate)
    expand_source("same", source)
    store.forget(_key(crate, find_toolchain(), False))
    again = build(crate)
    assert not again.cached and again.sha256 == first.sha256
    place = workspace.place_for(crate, find_toolchain())
    assert not list(place.glob("expanded*"))


def test_markdown_holds_any_text() -> None:
    made = Expansion("hello", "a_b", 'const A: &str = "\n```\n````\n";\n')
    lines = made._repr_mimebundle_()["text/markdown"].splitlines()
    assert lines[0] == r"**a\_b of hello**, macros expanded:"
    assert lines[2] == "`````rust" and lines[-1] == "`````"


def test_what_rustfmt_cannot_read_is_shown_as_it_is() -> None:
    assert tidy("#![no_std]\nextern crate core;\nfn f( {\n") == "fn f( {\n"


def test_items_inside_others_lose_their_indent() -> None:
    text = "mod m {\n    impl A {\n        fn f() {\n            1\n        }\n    }\n}\n"
    assert chosen(text, "f", "hello") == "fn f() {\n    1\n}\n"
