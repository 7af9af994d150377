"""The command line: ``kernellab setup | doctor | new | build | run | export | …``.

Exit codes: 0 fine; 1 the build failed; 2 usage; 3 DriverEntry returned a failure; 4 bug check;
5 a verifier rule was broken; 6 time ran out; 7 the target could not be reached, was lost or
cannot load the image; 8 the client script failed; 9 one of the driver's own
tests failed; 130 interrupted. `compare`: 0 the same, 1 different, 2 it could not run.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__, completion, machines
from .cell.options import BUILD, RUN, TEST, add_options
from .comparing import command as comparing
from .errors import BuildError, KernelLabError, LoadError, UsageError
from .progress import Progress

if TYPE_CHECKING:
    from .build import BuildResult

VIOLATIONS, CLIENT_FAILED, INTERRUPTED = 5, 8, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = given.command
    try:
        return command(given)
    except BuildError as error:
        _print_diagnostics(error.diagnostics)
        return _say(f"error: {error}", error.exit_code)
    except KernelLabError as error:
        return _say(f"error: {error}", error.exit_code)
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _adder(commands: Any) -> machines.Add:
    """What adds a command to a list of them: its help is its function's docstring."""

    def add(name: str, function: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        text = (function.__doc__ or "").strip()
        sub: argparse.ArgumentParser = commands.add_parser(
            name, help=text.splitlines()[0].rstrip("."), description=text, allow_abbrev=False
        )
        sub.set_defaults(command=function)
        return sub

    return add


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kernellab",
        description="Build Windows kernel drivers written in Rust and run them on a target.",
        epilog=__doc__.split("\n\n", 1)[1] if __doc__ else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kernellab {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add = _adder(commands)
    setup = add("setup", _setup)
    setup.add_argument("--quiet", action="store_true", help="say nothing when all is there")
    setup.add_argument("--rust-analyzer", action="store_true", help="and it: completion in cells")
    setup.add_argument("--wine", action="store_true", help="and Wine, for --target wine")
    doctor = add("doctor", _doctor)
    doctor.add_argument("--json", action="store_true", help="one JSON object a check")
    source = "a .rs file (what a cell would hold) or a crate folder"
    build = add("build", _build)
    build.add_argument("source", metavar="SRC", type=Path, help=source)
    add_options(build, BUILD)
    run = add("run", _run)
    run.add_argument("source", metavar="SRC", type=Path, help=source + ", or a ready .sys")
    add_options(run, RUN)
    new = add("new", _new)
    new.add_argument("name", metavar="NAME", help="the driver's name, and its folder's")
    new.add_argument("--path", type=Path, metavar="DIR", help="the folder to write (NAME)")
    export = add("export", _export)
    export.add_argument("notebook", metavar="NOTEBOOK", type=Path, help="an .ipynb file")
    export.add_argument("names", metavar="DRIVER", nargs="*", help="which drivers (all)")
    export.add_argument(
        *("--output", "-o"), type=Path, metavar="DIR", help="where to (a folder named as it)"
    )
    test = add("test", _test)
    test.add_argument("source", metavar="SRC", type=Path, help=source)
    test.add_argument(
        "only", metavar="TEXT", nargs="?", default="", help="only tests with TEXT in their name"
    )
    add_options(test, TEST)
    comparing.add_command(add)
    course = add("course", _course)
    course.add_argument(
        "lesson", metavar="LESSON", nargs="?", type=int, help="a lesson's number: copy it"
    )
    course.add_argument("--to", type=Path, metavar="DIR", help="the folder to copy to (this one)")
    course.add_argument(
        "--nbgrader",
        type=Path,
        metavar="DIR",
        help="make an assignment of the lesson in the nbgrader course in DIR",
    )
    course.add_argument("--forget", action="store_true", help="forget what was solved")
    add("targets", machines.list_targets)
    target = commands.add_parser(
        "target", help="Windows machines as targets: add, check, prepare, power, password"
    )
    machines.add_commands(_adder(target.add_subparsers(required=True, metavar="COMMAND")))
    exports = add("exports", _exports)
    exports.add_argument(
        "what",
        metavar="PATTERN",
        nargs="?",
        default="*",
        help="names, with wildcards, as in 'Ke*Timer*'; or a .sys, to list what it imports",
    )
    exports.add_argument(
        *("--missing", "-m"),
        metavar="FILE",
        type=Path,
        help="list what a file of names (the first word of each line) has and sim lacks",
    )
    exports.add_argument("--json", action="store_true", help="one JSON object a line")
    rules = add("rules", _rules)
    rules.add_argument("--target", "-t", default="sim", metavar="T", help="of which target (sim)")
    completion.add_commands(add, parser)
    return parser


# -- the commands -------------------------------------------------------------------------------


def _setup(given: argparse.Namespace) -> int:
    """Find or install what building needs; safe to run again."""
    from .build import describe_analyzer, setup, setup_analyzer
    from .guest import setup_wine
    from .sources import warm, warm_check

    with Progress() as progress:
        toolchain = setup(progress)
        warm(progress.about("the framework, once"))
        warm_check(progress.about("the framework for messages while typing, once"))
        if given.rust_analyzer:
            setup_analyzer(toolchain, progress)
        if given.wine:
            setup_wine(progress)
    if not given.quiet:
        print(f"Ready: {toolchain.describe()}\nCompletion: {describe_analyzer(toolchain)}")
    return 0


def _doctor(given: argparse.Namespace) -> int:
    """Say what is here, what is missing, and how to mend each."""
    from .build import diagnose

    for check in (checks := diagnose()):
        if given.json:
            fields = {"name": check.name, "ok": check.ok, "found": check.found, "mend": check.mend}
            print(json.dumps(fields))
            continue
        print(f"{'ok     ' if check.ok else 'MISSING'}  {check.name}: {check.found}")
        if not check.ok and check.mend:
            print("\n".join(f"           {line}" for line in check.mend.splitlines()))
    return 0 if all(check.ok for check in checks) else 1


def _exports(given: argparse.Namespace) -> int:
    """List what the simulated kernel exports, or what a driver imports of it.

    For a .sys the exit code is 7 where sim lacks an import.
    """
    from . import exports

    if given.missing is not None:
        text = _read(given.missing).decode("utf-8", "replace")
        for name in exports.missing(exports.names_in(text)):
            print(json.dumps({"name": name}) if given.json else name)
        return 0
    if given.what.lower().endswith(".sys"):
        needed = exports.imports(_read(Path(given.what)))
        for module, name, available in needed:
            fields = {"module": module, "name": name, "available": available}
            state = "ok     " if available else "MISSING"
            print(json.dumps(fields) if given.json else f"{state}  {module}!{name}")
        return 0 if all(available for *_, available in needed) else LoadError.exit_code
    found = exports.rows(given.what)
    if not found:
        raise UsageError(f"sim has no export like {given.what!r}")
    for row in found:
        if given.json:
            print(json.dumps(dataclasses.asdict(row)))
            continue
        note = f"  ({row.simplified})" if row.simplified else ""
        print(f"{row.name:40}  {row.family:12}  {row.irql:14}{note}".rstrip())
    return 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def _rules(given: argparse.Namespace) -> int:
    """List the verifier's rules: all are on, and --no-verify RULE switches one off."""
    from .target import registry

    for rule in registry.get(given.target).rules():
        print(f"{rule.name:24}  {rule.summary}")
    return 0


def _new(given: argparse.Namespace) -> int:
    """Write a new driver as a plain crate: NAME/ with everything it needs."""
    from .authoring import new_crate

    place = new_crate(given.name, given.path)
    print(f"{place}: the driver is in {Path('src') / 'lib.rs'}; `kernellab run {place}` runs it")
    return 0


def _export(given: argparse.Namespace) -> int:
    """Turn the drivers of a notebook into plain crates, which plain cargo builds alike."""
    from .authoring import export_notebook

    for driver, place in export_notebook(given.notebook, given.output, given.names):
        files = 1 + len(driver.modules)
        what = "1 file" if files == 1 else f"{files} files"
        print(f"{place}: {driver.name}, from code cell {driver.cell}, {what}")
    return 0


def _course(given: argparse.Namespace) -> int:
    """List the lessons and what is solved, or copy a lesson to work on."""
    from . import course
    from .course import progress
    from .course.lessons import copy

    if given.forget:
        progress.forget()
        print("What was solved is forgotten.")
        return 0
    if given.nbgrader is not None:
        from .course.nbgrader import make_assignment

        if given.lesson is None:
            raise UsageError("--nbgrader needs the number of a lesson")
        print(make_assignment(given.lesson, given.nbgrader))
        return 0
    if given.lesson is not None:
        place = copy(given.lesson, given.to or Path())
        print(f"{place}: open it in Jupyter, for example with `jupyter lab {place}`")
        return 0
    solved = progress.solved()
    for lesson in course.lessons():
        exercises = lesson.exercises
        done = sum(each.number in solved for each in exercises)
        bar = "".join("●" if each.number in solved else "○" for each in exercises)
        state = f"{bar} {done} of {len(exercises)}" if exercises else ""
        print(f"{lesson.number:>2}  {lesson.title:48}  {state}".rstrip())
    print("`kernellab course N` copies lesson N to this folder.")
    return 0


def _build(given: argparse.Namespace) -> int:
    """Build a driver: SRC becomes a .sys, with its .pdb beside it."""
    if given.source.suffix.lower() == ".sys" and given.source.is_file():
        raise UsageError(
            f"{given.source} is built already: `kernellab run {given.source}` loads it"
        )
    result = _built(given)
    output: Path = given.output or Path(f"{result.name}.sys")
    if output.is_dir():
        output = output / f"{result.name}.sys"
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(result.sys, output)
        shutil.copyfile(result.pdb, output.with_suffix(".pdb"))
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from error
    how = "unchanged" if result.cached else f"{result.seconds:.2f} s"
    print(f"{output}: {result.size} bytes, sha256 {result.sha256[:16]}…, {how}")
    for function in given.asm:
        from .editing.disassembly import disassemble

        print(f"\n{disassemble(result, function)}", end="")
    return 0


def _run(given: argparse.Namespace) -> int:
    """Build SRC where needed, load it on a target, print its log, unload it."""
    from .crate import fit_name
    from .run import run_driver

    if given.client is not None and not given.client.is_file():
        raise UsageError(f"there is no client script {given.client}")
    if given.trace is not None and not given.trace.parent.is_dir():
        raise UsageError(f"there is no folder {given.trace.parent} for the trace")
    source: Path = given.source
    if not source.exists():
        raise UsageError(f"there is no {source}")
    name = source.stem if source.is_file() else None
    if source.suffix.lower() == ".sys" and source.is_file():
        image, build_seconds, name = source, 0.0, fit_name(source.stem)
    else:
        result = _built(given)
        image, build_seconds = result.sys, result.seconds
    return run_driver(
        image,
        name=name,
        target=given.target,
        timeout=given.timeout,
        budget=given.budget,
        as_json=given.json,
        client=given.client,
        unload=not given.no_unload,
        build_seconds=build_seconds,
        no_verify=given.no_verify,
        parameters=given.param,
        trace=given.trace,
        fresh=given.fresh,
        waiting=Progress,
    )


def _test(given: argparse.Namespace) -> int:
    """Run the functions of SRC that are marked #[test] on a target, each in a load of its own."""
    from .errors import TestsFailed
    from .run import test_driver
    from .sources import build_path_tests

    if not given.source.exists():
        raise UsageError(f"there is no {given.source}")
    with Progress() as progress:
        result, tests = build_path_tests(
            given.source, dependencies=given.dep, release=given.release, progress=progress
        )
    _print_diagnostics(result.diagnostics)
    wanted = [each for each in tests if given.only in each.name]
    if not wanted:
        raise UsageError(f"no test has {given.only!r} in its name")
    with Progress() as progress:
        report = test_driver(
            result.sys,
            wanted,
            target=given.target,
            timeout=given.timeout,
            budget=given.budget,
            no_verify=given.no_verify,
            parameters=given.param,
            fresh=given.fresh,
            progress=progress,
        )
    print(report)
    return 0 if report.ok else TestsFailed.exit_code


def _built(given: argparse.Namespace) -> BuildResult:
    from .sources import build_path

    source: Path = given.source
    if not source.exists():
        raise UsageError(f"there is no {source}")
    with Progress() as progress:
        result = build_path(
            source, dependencies=given.dep, release=given.release, progress=progress
        )
    _print_diagnostics(result.diagnostics)
    return result


def _print_diagnostics(diagnostics: Sequence[Any]) -> None:
    """The compiler's messages, each followed by one empty line."""
    for each in diagnostics:
        text = each.ansi if _colour() else each.text
        print(text.rstrip(), end="\n\n", file=sys.stderr)


# -- on the terminal ------------------------------------------------------------------------------


def _colour() -> bool:
    return sys.stderr.isatty() and "NO_COLOR" not in os.environ


def _say(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
