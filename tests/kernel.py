"""A real IPython kernel for tests: run a cell, see what a notebook would show."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from jupyter_client.manager import KernelManager


@dataclass
class Result:
    """What came back from one executed cell."""

    status: str
    name: str = ""
    outputs: list[dict[str, Any]] = field(default_factory=list)
    traceback: str = ""

    @property
    def text(self) -> str:
        """All text that the cell shows, the newest of each display."""
        return "\n".join(o.get("text/plain", "") for o in self.outputs)

    @property
    def html(self) -> str:
        return "\n".join(o.get("text/html", "") for o in self.outputs)


class Notebook:
    """A kernel with the extension loaded: this Python's, or that of another environment."""

    def __init__(self, python: Path | None = None, cwd: Path | None = None, load: str = "") -> None:
        # Sockets of its own: jupyter_client puts them all into the current folder, where kernels
        # that start at one time take each other's.
        self._folder = tempfile.TemporaryDirectory(prefix="kernel-")
        self.manager = KernelManager(
            kernel_name="python3", transport="ipc", ip=f"{self._folder.name}/socket"
        )
        if python is not None:
            spec = self.manager.kernel_spec
            assert spec is not None
            spec.argv[0] = str(python)
        self.manager.start_kernel(cwd=None if cwd is None else str(cwd))
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.shown: dict[str, dict[str, Any]] = {}
        #: Every text that was shown, also where another has taken its place.
        self.ever: list[str] = []
        if load:  # before the extension
            assert self.run(load).status == "ok"
        assert self.run("%load_ext kernellab").status == "ok"

    def start(self, code: str) -> str:
        message: str = self.client.execute(code)
        return message

    def begun(self, message: str, timeout: float = 60) -> None:
        """Wait until the kernel runs the cell: an earlier interrupt can cost it the message."""
        kind, parent = "", ""
        while (kind, parent) != ("execute_input", message):
            got = self.client.get_iopub_msg(timeout=timeout)
            kind, parent = got["msg_type"], got["parent_header"].get("msg_id")

    def finish(self, message: str, timeout: float = 120) -> Result:
        result = Result("")
        end = time.monotonic() + timeout
        while True:
            got = self.client.get_iopub_msg(timeout=max(0.1, end - time.monotonic()))
            if got["parent_header"].get("msg_id") != message:
                continue
            kind, content = got["msg_type"], got["content"]
            if kind in ("display_data", "execute_result", "update_display_data"):
                self._show(result, content, update=kind == "update_display_data")
            elif kind == "stream":
                result.outputs.append({"text/plain": content["text"]})
            elif kind == "error":
                result.name = content["ename"]
                result.traceback = "\n".join(content["traceback"])
            elif kind == "status" and content["execution_state"] == "idle":
                break
        while True:
            reply = self.client.get_shell_msg(timeout=30)
            if reply["parent_header"].get("msg_id") == message:
                result.status = reply["content"]["status"]
                return result

    def _show(self, result: Result, content: dict[str, Any], *, update: bool) -> None:
        ident = content.get("transient", {}).get("display_id")
        self.ever.append(content["data"].get("text/plain", ""))
        if update and ident in self.shown:
            self.shown[ident].clear()
            self.shown[ident].update(content["data"])
            return
        data = dict(content["data"])
        if ident:
            self.shown[ident] = data
        result.outputs.append(data)

    def run(self, code: str) -> Result:
        return self.finish(self.start(code))

    def run_ok(self, code: str) -> Result:
        result = self.run(code)
        assert result.status == "ok", result.traceback + result.text
        return result

    def value(self, expression: str) -> str:
        result = self.run(f"print({expression})")
        assert result.status == "ok", result.traceback
        return result.text.strip()

    def family(self) -> list[psutil.Process]:
        """The kernel's process and everything it started."""
        provider = self.manager.provisioner
        assert provider is not None
        kernel = psutil.Process(provider.pid)  # type: ignore[attr-defined]
        return [kernel, *kernel.children(recursive=True)]

    def close(self) -> None:
        self.client.stop_channels()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()
        self._folder.cleanup()


def gone(processes: list[psutil.Process], seconds: float = 5.0) -> list[psutil.Process]:
    """Those of ``processes`` that are still there after up to ``seconds``."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    return alive
