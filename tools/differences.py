"""``make differences``: the test and course drivers on sim and on Wine, and where they differ.

The conversations of the tests with the simulator are repeated on Wine (tests/differential.py),
the drivers of the lessons are compared as ``kernellab compare`` does. The result is
docs/differences.json; of that and of :data:`REASONS` the table in docs/differences.md is made
(``tools/differences.py table`` does that alone).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "docs" / "differences.json"
PAGE = ROOT / "docs" / "differences.md"
TESTS: Final = ("tests/rust", "tests/target/sim")
FROM, TO = "<!-- made by tools/differences.py, kept by a test -->\n", "<!-- end of table -->\n"


class Reason(NamedTuple):
    """What a kind of difference is: which side does what the WDK's page says, and why."""

    pattern: str
    what: str
    right: str
    why: str


#: The first that matches a recorded reason holds.
REASONS: Final[tuple[Reason, ...]] = (
    Reason(
        r"bug check: (0x(?!0 )\w+ \w+) / 0x1e KMODE_EXCEPTION_NOT_HANDLED",
        "",
        "sim",
        "Windows names the bug check by where and why the fault was; of Wine an exception is all"
        ' that is known, and the agent tells it as 0x1E. "Bug Check Code Reference"',
    ),
    Reason(
        r"bug check: 0x(133|ce|c7|f) \w+ / none",
        "",
        "sim",
        'Wine has no such check. "Bug Check Code Reference"',
    ),
)


def explain(reason: str) -> Reason | None:
    """The explanation of a recorded reason, where there is one."""
    return next((each for each in REASONS if re.fullmatch(each.pattern, reason)), None)


def lessons() -> list[dict[str, Any]]:
    """The drivers of each lesson as its notebook leaves them, on both."""
    from kernellab.comparing.run import compare
    from kernellab.errors import KernelLabError
    from kernellab.notebook import read_drivers
    from kernellab.sources import build_text

    found = []
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for driver in read_drivers(path).values():
            row: dict[str, Any] = {"test": f"notebooks/{path.name}", "drivers": [driver.name]}
            try:
                modules = {name: each.text for name, each in driver.modules.items()}
                built = build_text(
                    driver.name,
                    driver.source.text,
                    dependencies=driver.dependencies,
                    modules=modules,
                    release=driver.release,
                )
            except KernelLabError:
                found.append({**row, "outcome": "not built"})  # a lesson on the compiler's errors
                continue
            comparison = compare(built.sys, timeout=3)
            found.append({**row, **_outcome(comparison)})
            print(".", end="", flush=True)
    return found


def _outcome(comparison: Any) -> dict[str, Any]:
    if comparison.same:
        return {"outcome": "same"}
    wine = comparison.sides[1]
    lacks = re.search(r"Wine does not have \S+!(\w+)", " ".join(s.detail for s in wine.steps))
    if lacks is not None:
        return {"outcome": "differs", "reason": f"Wine lacks {lacks[1]}"}
    what, (ours, theirs) = comparison.differences[0].what, comparison.differences[0].values
    if what == "log":
        order = ": another order" if comparison.only_order else ""
        return {
            "outcome": "differs",
            "reason": f"log{order}",
            "sim": ours[:160],
            "wine": theirs[:160],
        }
    place = re.compile(r"bug check| at \S+:\d+$")
    if ours.startswith("bug check") or theirs.startswith("bug check"):
        codes = [
            place.sub("", each).strip() if each.startswith("bug check") else "none"
            for each in (ours, theirs)
        ]
        return {"outcome": "differs", "reason": f"bug check: {codes[0]} / {codes[1]}"}
    return {"outcome": "differs", "reason": f"{what}: {ours} / {theirs}"}


def run(tests: Sequence[str]) -> list[dict[str, Any]]:
    """What :mod:`tests.differential` wrote of ``tests``."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "rows.jsonl"
        command = [sys.executable, "-m", "pytest", "-n0", "-q", "-p", "no:cacheprovider"]
        command += ["-p", "tests.differential", "--differences", str(place), *tests]
        subprocess.run(command, cwd=ROOT, check=False)
        return [json.loads(line) for line in place.read_text(encoding="utf-8").splitlines()]


def record(rows: Sequence[dict[str, Any]]) -> None:
    """Write docs/differences.json: one object a line, in order."""
    ordered = sorted(rows, key=lambda row: (row["test"], row["drivers"], row.get("reason", "")))
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in ordered)
    RECORD.write_text(f"[\n{lines}\n]\n", encoding="utf-8", newline="\n")


def table() -> str:
    """What stands between the markers of docs/differences.md."""
    rows = json.loads(RECORD.read_text(encoding="utf-8"))
    outcomes = Counter(row["outcome"] for row in rows)
    reasons = Counter(row["reason"] for row in rows if row["outcome"] == "differs")
    only = Counter(row["reason"] for row in rows if row["outcome"] == "only sim")
    out = [
        f"{len(rows)} runs of drivers: {outcomes['same']} the same on both,"
        f" {outcomes['differs']} different, {outcomes['only sim']} that only sim can be asked,"
        f" {outcomes['not built']} that do not compile, as they are meant to.\n\n"
    ]
    lacking = Counter({r.split()[-1]: n for r, n in reasons.items() if r.startswith("Wine lacks")})
    if lacking:
        names = ", ".join(f"{name} ({n})" for name, n in sorted(lacking.items()))
        out.append(
            f"**Exports that Wine lacks** end {sum(lacking.values())} of them: {names}. The call"
            " stops the driver, by name. Windows has them: sim is right to.\n\n"
        )
    out.append("| what (sim / Wine) | runs | right | why |\n|---|---|---|---|\n")
    unknown: Counter[str] = Counter()
    for reason, count in sorted(reasons.items()):
        if reason.startswith("Wine lacks"):
            continue
        known = explain(reason)
        if known is None:
            unknown[reason] += count
            continue
        out.append(f"| {known.what or _cell(reason)} | {count} | {known.right} | {known.why} |\n")
    if unknown:
        out.append("\nNot looked into yet:\n\n| what (sim / Wine) | runs |\n|---|---|\n")
        out += [f"| {_cell(reason)} | {count} |\n" for reason, count in sorted(unknown.items())]
    out.append("\nWhat only sim can be asked, by what the test needs:\n\n")
    out.append("| what | runs |\n|---|---|\n")
    out += [f"| {reason} | {count} |\n" for reason, count in sorted(only.items())]
    return "".join(out)


def _cell(text: str) -> str:
    return "`" + text.replace("|", "\\|").replace("`", "'") + "`"


def with_table(page: str) -> str:
    """docs/differences.md with the table between its markers."""
    before, rest = page.split(FROM)
    return before + FROM + table() + TO + rest.split(TO)[1]


def main(arguments: list[str]) -> int:
    """Run all, or the tests named, and write the record and the table; or the table alone."""
    if arguments != ["table"]:
        record([*run(arguments or TESTS), *([] if arguments else lessons())])
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_table(page), encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
