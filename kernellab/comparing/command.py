"""``kernellab compare``: the command's options, and what it prints."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..cell.options import COMPARE, add_options
from ..errors import BuildError, KernelLabError, UsageError

if TYPE_CHECKING:
    from .run import Ioctl

SAME, DIFFERENT, COULD_NOT = 0, 1, 2
_IOCTL: Final = re.compile(r"(.+?):(0x[0-9a-fA-F]+|\d+)(?::([0-9a-fA-F]*))?(?::(\d+))?")


def ioctl(text: str) -> Ioctl:
    r"""``DEVICE:CODE[:HEX[:SIZE]]``; a device without a backslash is one in ``\\.\``."""
    from .run import Ioctl

    match = _IOCTL.fullmatch(text)
    data = match[3] or "" if match is not None else ""
    if match is None or len(data) % 2 or int(match[2], 0) >= 1 << 32:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not DEVICE:CODE[:HEX[:SIZE]], such as Echo:0x222000:6869:16"
        )
    device = match[1] if "\\" in match[1] else rf"\\.\{match[1]}"
    return Ioctl(device, int(match[2], 0), bytes.fromhex(data), int(match[4] or 0))


def add_command(add: Callable[[str, Callable[[argparse.Namespace], int]], Any]) -> None:
    """Add ``compare`` to the command line."""
    parser = add("compare", run)
    parser.add_argument(
        "source",
        metavar="SRC",
        type=Path,
        help="a .rs file (what a cell would hold), a crate folder, or a ready .sys",
    )
    parser.add_argument(
        "--targets",
        metavar="T,T",
        default="sim,wine",
        help="two or more of `kernellab targets`: each is compared with the first (sim,wine)",
    )
    add_options(parser, COMPARE)
    parser.add_argument(
        "--ioctl",
        metavar="DEVICE:CODE[:HEX[:SIZE]]",
        type=ioctl,
        action="append",
        default=[],
        help="a request to send once it is loaded, with its input as hexadecimal digits and the"
        " size of its output in bytes, such as Echo:0x222000:6869:16; may be repeated",
    )
    parser.add_argument(
        "--wait",
        metavar="S",
        type=float,
        default=0.0,
        help="seconds of the target's time to leave it alone before it is unloaded (0)",
    )
    parser.add_argument(
        "--test", action="store_true", help="run its #[test] functions instead, and compare these"
    )
    parser.add_argument("--html", metavar="FILE", type=Path, help="write the report there as well")


def run(given: argparse.Namespace) -> int:
    """Run a driver on several targets and show where they differ.

    It is built once, loaded, asked what the options say, and unloaded on each; log, statuses,
    bug checks with their line, and results are compared. Addresses are not. The exit code is 0
    where all is the same, 1 where something differs, 2 where it could not be built or run.
    """
    from ..progress import Progress
    from .report import as_page, as_text
    from .run import compare

    try:
        if given.client is not None and not given.client.is_file():
            raise UsageError(f"there is no client script {given.client}")
        if not 0 <= given.wait < 86_400:
            raise UsageError(f"--wait takes seconds, not {given.wait}")
        if given.html is not None and not given.html.parent.is_dir():
            raise UsageError(f"there is no folder {given.html.parent} for the report")
        with Progress() as progress:
            found = compare(
                given.source,
                given.targets.split(","),
                ioctls=given.ioctl,
                client=given.client,
                tests=given.test,
                wait=given.wait,
                timeout=given.timeout,
                parameters=dict(given.param),
                dependencies=given.dep,
                release=given.release,
                progress=progress,
            )
        if given.html is not None:
            given.html.write_text(as_page(found), encoding="utf-8")
    except BuildError as error:
        for each in error.diagnostics:
            print(each.text.rstrip(), end="\n\n", file=sys.stderr)
        return _failed(error)
    except (KernelLabError, OSError) as error:
        return _failed(error)
    print(as_text(found, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    return SAME if found.same else DIFFERENT


def _failed(error: Exception) -> int:
    print(f"error: {error}", file=sys.stderr)
    return COULD_NOT
