"""``make demo``: run the first course notebook on the simulated kernel and print what it shows."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import nbclient
import nbformat

FIRST = Path(__file__).parents[1] / "notebooks" / "01-hello-driver.ipynb"


def main() -> int:
    """Execute a notebook, print its Rust cells with their results; 0 when all of it ran."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebook", nargs="?", type=Path, default=FIRST)
    parser.add_argument("--all", action="store_true", help="every Rust cell, not the first only")
    arguments = parser.parse_args()
    notebook = nbformat.read(arguments.notebook, as_version=4)
    print(f"Running {arguments.notebook.name} on the simulated NT kernel ...\n", flush=True)
    client = nbclient.NotebookClient(
        notebook,
        timeout=300,
        # ipykernel 7 warns that others on this machine could listen in; not to a demo's reader.
        extra_arguments=["--log-level=40"],
        resources={"metadata": {"path": str(arguments.notebook.parent)}},
    )
    begin = time.monotonic()
    try:
        client.execute()
    except nbclient.exceptions.CellExecutionError as error:
        print(error, file=sys.stderr)
        return 1
    cells = [c for c in notebook.cells if c.source.startswith("%%rustdriver")]
    for cell in cells if arguments.all else cells[:1]:
        print(cell.source, end="\n\n")
        for output in cell.outputs:
            text = output.get("text") or output.get("data", {}).get("text/plain", "")
            if text.strip():
                print(text.rstrip(), end="\n\n")
    seconds = time.monotonic() - begin
    print(
        f"All {len(cells)} drivers of the lesson ran in {seconds:.1f} s, those that fail on purpose"
        " included. `make lab` opens the notebooks."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
