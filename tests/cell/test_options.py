"""The magic's line: what is understood, what is refused and how, what Tab offers."""

from __future__ import annotations

import pytest

from kernellab.cell.options import complete_magic, magic_help, options_of, parse_magic
from kernellab.cell.source import cell_source, variable_name
from kernellab.errors import UsageError


def test_defaults() -> None:
    options = parse_magic("hello")
    assert (options.name, options.target, options.release) == ("hello", "sim", False)
    assert (options.timeout, options.budget, options.dep) == (10.0, None, [])


def test_all_options() -> None:
    options = parse_magic(
        'hello -t sim --release --timeout 2.5 --budget 1_000 --dep bitflags=2 --dep "a = 1"'
    )
    assert options.timeout == 2.5
    assert options.budget == 1000
    assert options.dep == ["bitflags=2", "a = 1"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "needs a name"),
        ("hello --tmeout 3", "unrecognized arguments: --tmeout"),
        ("hello --rel", "unrecognized"),  # no abbreviations: they would change meaning later
        ("hello --timeout zero", "'zero' is not a number of seconds"),
        ("hello --timeout -1", "timeout"),
        ("hello --timeout nan", "'nan' is not a number of seconds"),
        ("hello --budget 0", "not a positive whole number"),
        ("hello --target", "expected one argument"),
        ('hello "unclosed', "no closing quotation"),
        ("hello world", "unrecognized arguments: world"),
        ("--help", "--allow-failure"),
    ],
)
def test_mistakes_are_usage_errors_never_exits(line: str, says: str) -> None:
    with pytest.raises(UsageError) as info:
        parse_magic(line)
    assert says in str(info.value)


def test_help_names_every_option() -> None:
    text = magic_help()
    for option in options_of("magic"):
        assert option.flags[0] in text
        assert option.help.split()[0] in text


def test_completion_offers_flags_once_and_values() -> None:
    assert "--release" in complete_magic(["hello"], "--")
    assert complete_magic(["hello"], "--rel") == ["--release"]
    assert complete_magic(["hello", "--release"], "--rel") == []
    assert complete_magic(["hello", "--dep", "a=1"], "--de") == ["--dep"]
    targets = {"--target": ["sim", "my-vm"]}
    assert complete_magic(["hello", "--target"], "", targets.__getitem__) == ["sim", "my-vm"]
    assert complete_magic(["hello", "--timeout"], "") == []


def test_line_numbers_of_the_source_are_the_cells() -> None:
    source = cell_source("hello", "hello --release", "use a;\r\nfn b() {}\n")
    assert source.text.split("\n")[1] == "use a;"
    assert source.cell.split("\n")[:2] == ["%%rustdriver hello --release", "use a;"]


@pytest.mark.parametrize(
    ("name", "variable"), [("hello", "hello"), ("my-driver", "my_driver"), ("class", "class_")]
)
def test_variable_name(name: str, variable: str) -> None:
    assert variable_name(name) == variable
