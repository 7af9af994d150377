"""The options of ``%%rustdriver`` and of the command line, one list for both.

An option is one :class:`Option` in :data:`OPTIONS`; ``where`` says which commands have it.
Help texts, tab completion and the parsers are made from this list, so they cannot drift apart.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from ..errors import UsageError
from ..tracefile import MOST, SIZE

MAGIC, BUILD, RUN, TEST, COMPARE = "magic", "build", "run", "test", "compare"


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its flags, argparse's keywords, and the commands that have it."""

    flags: tuple[str, ...]
    help: str
    where: frozenset[str]
    keywords: Mapping[str, Any] = field(default_factory=dict)
    #: Set where the values are few: what tab completion offers.
    values: Callable[[], Sequence[str]] | None = None


def seconds(text: str) -> float:
    """A positive number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def count(text: str) -> int:
    """A positive whole number; ``_`` may group its digits."""
    try:
        value = int(text, 0)
    except ValueError:
        value = 0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return value


def events(text: str) -> int:
    """How many events a trace keeps."""
    try:
        number = count(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of events (--trace stands behind the driver's name)"
        ) from None
    if number > MOST:
        raise argparse.ArgumentTypeError(f"a trace has {MOST:,} events at most")
    return number


def parameter(text: str) -> tuple[str, int | str]:
    """``NAME=VALUE``; a whole number (also ``0x10``) is one, anything else is text."""
    name, equals, value = text.partition("=")
    if not name or not equals or "\\" in name or len(name) > 255:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        number = int(value, 0)
    except ValueError:
        return name, value
    if not -(1 << 63) <= number < 1 << 64:
        raise argparse.ArgumentTypeError(f"{text!r} has more than 64 bits")
    return name, number


def _option(*flags: str, help: str, where: str, **keywords: Any) -> Option:
    values = keywords.pop("values", None)
    return Option(flags, help, frozenset(where.split()), keywords, values)


OPTIONS: Final[tuple[Option, ...]] = (
    _option(
        *("--target", "-t"),
        help="where the driver runs: sim (the default) or another name from `kernellab targets`",
        where="magic run test",
        default="sim",
        metavar="T",
    ),
    _option(
        "--fresh",
        help="take the target back to its snapshot first: a virtual machine to the one named"
        " kernellab (`kernellab target power` makes it); sim and wine start a new machine",
        where="magic run test",
        action="store_true",
    ),
    _option(
        "--release",
        help="optimise for size; without it the build is quicker and stacks are exact",
        where="magic build run test compare",
        action="store_true",
    ),
    _option(
        "--timeout",
        help="how long driver code may run at a time, in seconds (10)",
        where="magic run test compare",
        type=seconds,
        default=10.0,
        metavar="S",
    ),
    _option(
        "--budget",
        help="stop driver code after N instructions: the same place every time",
        where="magic run test",
        type=count,
        metavar="N",
    ),
    _option(
        "--no-verify",
        help="a verifier rule that does not hold for this driver (`kernellab rules` lists them),"
        " or `all`; may be repeated",
        where="magic run test",
        action="append",
        default=[],
        metavar="RULE",
    ),
    _option(
        "--dep",
        help='a crate from the registry, such as --dep "bitflags=2"; may be repeated',
        where="magic build run test compare",
        action="append",
        default=[],
        metavar="NAME=VERSION",
    ),
    _option(
        "--test",
        help="run the functions marked #[test] on the target, each in a load of its own, instead of"
        " the driver",
        where="magic",
        action="store_true",
    ),
    _option(
        "--param",
        help="a value in the driver's Parameters key, a number or text, such as --param Depth=16;"
        " may be repeated",
        where="magic run test compare",
        type=parameter,
        action="append",
        default=[],
        metavar="NAME=VALUE",
    ),
    _option(
        "--asm",
        help="show the machine code of a function, such as `init`, beside its source lines; `?`"
        " lists the functions; may be repeated",
        where="magic build",
        action="append",
        default=[],
        metavar="FUNCTION",
    ),
    _option(
        "--fmt",
        help="format the cell with rustfmt first; the cell is replaced by what ran",
        where="magic",
        action="store_true",
    ),
    _option(
        "--trace",
        help="record what runs and when, for the tab Timeline and NAME.trace: calls, IRQL, threads,"
        f" requests; N is how many events are kept ({SIZE:,})",
        where="magic",
        nargs="?",
        const=SIZE,
        type=events,
        metavar="N",
    ),
    _option(
        "--trace",
        help="record what runs and when, and write it as JSON that ui.perfetto.dev opens",
        where="run",
        type=Path,
        metavar="OUT.json",
    ),
    _option(
        "--no-log-file",
        help="do not keep a log that is too long for the notebook in kernellab-logs/ beside it",
        where="magic",
        action="store_true",
    ),
    _option(
        "--no-run", help="build only: the pane's Load loads it", where="magic", action="store_true"
    ),
    _option(
        "--allow-failure",
        help="show a failure, a bug check for instance, without ending a `Run All`",
        where="magic",
        action="store_true",
    ),
    _option(
        *("--output", "-o"),
        help="where to write the driver; its symbols go beside it as .pdb",
        where="build",
        type=Path,
        metavar="OUT.sys",
    ),
    _option(
        "--json", help="print one event a line, and nothing else", where="run", action="store_true"
    ),
    _option(
        "--client",
        help="a Python script to run with `target` and `driver` while the driver is loaded",
        where="run compare",
        type=Path,
        metavar="SCRIPT.py",
    ),
    _option(
        "--no-unload", help="end without running DriverUnload", where="run", action="store_true"
    ),
)


class _Parser(argparse.ArgumentParser):
    """argparse without its exits: a magic's mistake is an error message, not a SystemExit."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\n{self.format_usage().strip()}")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise UsageError(message or "")


def options_of(command: str) -> list[Option]:
    """The options that ``command`` (``magic``, ``build``, ``run``, ``test`` or ``compare``) has."""
    return [option for option in OPTIONS if command in option.where]


def add_options(parser: argparse.ArgumentParser, command: str) -> None:
    """Give ``parser`` the options of ``command``."""
    for option in options_of(command):
        parser.add_argument(*option.flags, help=option.help, **option.keywords)


def magic_parser() -> argparse.ArgumentParser:
    """The parser for the magic's own line."""
    parser = _Parser(prog="%%rustdriver", add_help=False, allow_abbrev=False)
    parser.add_argument("name", metavar="NAME", help="the driver's name, and the variable's")
    add_options(parser, MAGIC)
    return parser


def parse_magic(line: str) -> argparse.Namespace:
    """The options on a ``%%rustdriver`` line; UsageError says what is wrong with them."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"%%rustdriver: {str(error).lower()} on the magic's line") from None
    if not words:
        raise UsageError(
            "%%rustdriver needs a name: the driver's, and the variable's it is bound to,"
            " such as `%%rustdriver hello`"
        )
    values = {i + 1 for i, word in enumerate(words) if word == "--asm"}
    if {"-h", "--help", "?"} & {word for i, word in enumerate(words) if i not in values}:
        raise UsageError(magic_help())
    given = magic_parser().parse_args(words)
    if given.test and given.asm:
        raise UsageError("--asm shows the driver's code, and --test builds another: give one")
    return given


def magic_help() -> str:
    """What ``%%rustdriver?`` shows: usage and every option."""
    return magic_parser().format_help()


def file_parser() -> argparse.ArgumentParser:
    """The parser for the line of ``%%rustfile``."""
    parser = _Parser(prog="%%rustfile", add_help=False, allow_abbrev=False)
    parser.add_argument("name", metavar="NAME", help="the driver that the file belongs to")
    parser.add_argument(
        "path", metavar="PATH", nargs="?", help="the file, such as proto.rs or wire/frame.rs"
    )
    parser.add_argument("--fmt", action="store_true", help="format the file's cell with rustfmt")
    parser.add_argument("--remove", action="store_true", help="take the file away (in %%rustfile)")
    return parser


def parse_file_magic(line: str) -> argparse.Namespace:
    """What stands on a ``%%rustfile`` line; UsageError says what is wrong with it."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"%%rustfile: {str(error).lower()} on the magic's line") from None
    if {"-h", "--help", "?"} & set(words):
        raise UsageError(file_parser().format_help())
    return file_parser().parse_args(words)


def complete_magic(
    words: Sequence[str],
    prefix: str,
    values_of: Callable[[str], Sequence[str]] = lambda flag: (),
) -> list[str]:
    """What can follow on the magic's line: ``words`` stand before, ``prefix`` is begun.

    ``values_of`` gives an option's values that only other stages know.
    """
    options = options_of(MAGIC)
    last = words[-1] if words else ""
    for option in options:
        takes_value = option.keywords.get("action") in (None, "append")
        if last in option.flags and takes_value and option.keywords.get("nargs") != "?":
            values = option.values() if option.values else values_of(last)
            return [value for value in values if value.startswith(prefix)]
    if words and not prefix.startswith("-"):
        return []
    used = {flag for option in options for flag in option.flags if set(option.flags) & set(words)}
    repeatable = {f for o in options for f in o.flags if o.keywords.get("action") == "append"}
    flags = [flag for option in options for flag in option.flags if flag.startswith("--")]
    return [f for f in flags if f.startswith(prefix) and (f not in used or f in repeatable)]
