"""``make bench``: run every benchmark and print one table, each number beside what to reach.

Times are wall-clock medians over several runs. Where a ratio matters, both sides are measured
alternately in one run, since the machines this runs on are noisy.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys

from . import soak
from .browser import browser_rows
from .cython_cells import cython_rows
from .editing import editing_rows
from .harness import Row
from .kernel import kernel_rows
from .notebook import notebook_rows
from .pool import pool_rows
from .simulator import simulator_rows
from .sysroot import sysroot_rows
from .wine import wine_rows
from .winrm import winrm_rows

GROUPS = {
    "notebook": notebook_rows,
    "cython": cython_rows,
    "editing": editing_rows,
    "browser": browser_rows,
    "sim": simulator_rows,
    "pool": pool_rows,
    "kernel": kernel_rows,
    "sysroot": sysroot_rows,
    "winrm": winrm_rows,
    "wine": wine_rows,
}


def main() -> int:
    """Print the table; exit code 1 when a number is not reached."""
    if sys.argv[1:2] == ["soak"]:
        return soak.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="make bench BENCH_ARGS=", description=__doc__)
    parser.add_argument("groups", nargs="*", choices=[[], *GROUPS], help="which (all)")
    parser.add_argument("--runs", type=int, default=9, help="runs per measurement (9)")
    given = parser.parse_args()
    # As installed: with bytecode beside the sources, which some environments switch off.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    rows: list[Row] = []
    for name in given.groups or GROUPS:
        print(f"measuring: {name} ...", file=sys.stderr, flush=True)
        rows += GROUPS[name](given.runs)
    print(f"\n{platform.machine()}, {platform.system()}, Python {platform.python_version()}\n")
    table = [("what", "reach", "measured", "range", "ok"), *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(5)]
    for number, line in enumerate(table):
        print("| " + " | ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return 1 if any(row.ok is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
