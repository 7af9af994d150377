"""The compiler's explanations of its error codes."""

from __future__ import annotations

import pytest

from kernellab.build.diagnostics import plain
from kernellab.editing.explain import Explanation, codes_in, explain, normal_code
from kernellab.errors import UsageError


def test_an_explanation_is_markdown_with_rust_in_it() -> None:
    bundle = explain("E0502")._repr_mimebundle_()
    assert "borrowed again with a different mutability" in bundle["text/plain"]
    markdown = bundle["text/markdown"]
    assert markdown.startswith("#### E0502\n\n")
    fences = [line for line in markdown.splitlines() if line.startswith("```")]
    assert fences == ["```rust", "```"] * (len(fences) // 2) and fences


def test_fences_that_say_more_are_rust_too() -> None:
    text = "a\n```compile_fail,E0502\nx\n```\nb\n```\ny\n```\n"
    assert Explanation("E0502", text).markdown.count("```rust\n") == 2


@pytest.mark.parametrize("text", ["E0502", "e502", "502", "0502"])
def test_a_code_may_be_written_short(text: str) -> None:
    assert normal_code(text) == "E0502"


@pytest.mark.parametrize("text", ["", "foo", "E0502 --help", "--help", "E12345", "E05\n02"])
def test_what_is_no_code(text: str) -> None:
    with pytest.raises(UsageError, match="is not an error code such as E0502"):
        explain(text)


def test_a_code_that_does_not_exist() -> None:
    with pytest.raises(UsageError, match="rustc has no explanation of E9999"):
        explain("E9999")


def test_codes_are_those_that_rustc_explains() -> None:
    codes = ["E0308", "unused_variables", "E0502", "no-std", "E0308", ""]
    assert codes_in(plain("error", "x", code=code) for code in codes) == ["E0308", "E0502"]
