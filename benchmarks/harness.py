"""What the benchmarks share: a row of the table, a driver's source, a Jupyter kernel."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

HELLO = """\
use windows_kernel_rs::{kernel_module, println, Driver, Error, KernelModule};

struct Module;

impl KernelModule for Module {
    fn init(_: Driver, _: &str) -> Result<Self, Error> {
        println!("hello number NUMBER from {}", "the kernel");
        Ok(Module)
    }

    fn cleanup(&mut self, _: Driver) {
        println!("bye");
    }
}

kernel_module!(Module);
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the median of ``samples`` and what it is to reach.

    Without ``reach`` it is there to be compared with; without samples it was not measured,
    and ``what`` says why.
    """

    what: str
    samples: Sequence[float]
    reach: float | None
    unit: str
    smaller: bool = True

    @property
    def ok(self) -> bool | None:
        """Whether it is reached; None where that cannot be said."""
        if self.reach is None or not self.samples:
            return None
        value = statistics.median(self.samples)
        return value <= self.reach if self.smaller else value >= self.reach

    def cells(self) -> tuple[str, str, str, str, str]:
        """The row as the table shows it."""
        sign = "≤" if self.smaller else "≥"
        reach = "" if self.reach is None else f"{sign} {self.reach:g} {self.unit}"
        mark = {True: "yes", False: "NO", None: ""}[self.ok]
        if not self.samples:
            return self.what, reach, "not measured", "", mark
        value = f"{statistics.median(self.samples):.3g} {self.unit}"
        return self.what, reach, value, f"{min(self.samples):.3g} … {max(self.samples):.3g}", mark


@contextmanager
def jupyter_kernel(python: Path | None = None) -> Iterator[Any]:
    """A fresh IPython kernel and its client; of another ``python`` where one is given."""
    with tempfile.TemporaryDirectory(prefix="kernel-") as folder:
        # Sockets in a folder of its own; jupyter_client's default is the current one.
        manager = KernelManager(kernel_name="python3", transport="ipc", ip=f"{folder}/socket")
        if python is not None:
            spec = manager.kernel_spec
            assert spec is not None
            spec.argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        manager.start_kernel()
        client = manager.client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=60)
            execute(client, "1")
            yield client
        finally:
            client.stop_channels()
            manager.shutdown_kernel()


def execute(client: Any, code: str) -> tuple[float, float]:
    """Run a cell; returns when it was sent and when it was done (``time.perf_counter``)."""
    start = time.perf_counter()
    reply = client.execute(code, reply=True, timeout=300)
    end = time.perf_counter()
    if reply["content"]["status"] != "ok":
        raise RuntimeError("\n".join(reply["content"].get("traceback", [])))
    return start, end


def evaluate(client: Any, expression: str) -> str:
    """The ``repr`` of an expression in the kernel."""
    reply = client.execute(
        "", user_expressions={"value": expression}, reply=True, timeout=60, silent=True
    )
    value = reply["content"]["user_expressions"]["value"]
    if value["status"] != "ok":
        raise RuntimeError(str(value))
    text: str = value["data"]["text/plain"]
    return text
