"""A real JupyterLab or Notebook 7 in a headless Chromium: what browser tests and benchmarks share.

:func:`serve` starts a server of its own (free port, token, private folders), :func:`launch` a
browser; a :class:`Lab` is one page of it.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import psutil
from nbformat.sign import NotebookNotary
from playwright.sync_api import Browser, Page, Route, ViewportSize, sync_playwright

ARTEFACTS = Path(__file__).parents[1] / "artefacts"
ROOT = Path(__file__).parents[2]
CHROMIUM_FLAGS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
).split()
#: Notebook 7.6 says it by itself when it opens any notebook.
NOTEBOOK_OWN_ERROR = "Cannot read properties of undefined (reading 'schema')"
VIEWPORT: ViewportSize = {"width": 1100, "height": 850}
_THEMES = {"dark": "JupyterLab Dark", "light": "JupyterLab Light"}
SETTLE = 60_000  # milliseconds for anything in the page to appear


def chromium() -> str | None:
    """A Chromium on this machine."""
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        found = shutil.which(name)
        if found:
            return found
    return None


def notebook(*cells: str) -> nbformat.NotebookNode:
    """A notebook of code cells; a cell that begins with ``#md`` is Markdown."""
    made = nbformat.v4.new_notebook()
    made.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    for cell in cells:
        if cell.startswith("#md"):
            made.cells.append(nbformat.v4.new_markdown_cell(cell.removeprefix("#md").strip()))
        else:
            made.cells.append(nbformat.v4.new_code_cell(cell))
    return made  # type: ignore[no-any-return]


@dataclass
class Server:
    """A running JupyterLab or Notebook 7."""

    url: str
    token: str
    folder: Path
    application: str = "jupyterlab"

    def request(self, path: str, method: str = "GET") -> Any:
        """Ask its REST interface."""
        request = urllib.request.Request(
            f"{self.url}/{path}", method=method, headers={"Authorization": f"token {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=10) as reply:
            body = reply.read()
        return json.loads(body) if body else None

    def stop_kernels(self) -> None:
        """End all sessions, so that the next notebook starts with none."""
        for session in self.request("api/sessions"):
            self.request(f"api/sessions/{session['id']}", "DELETE")


@contextmanager
def launch() -> Iterator[Browser]:
    """A headless browser."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        yield launched
        launched.close()


@contextmanager
def serve(home: Path, application: str = "jupyterlab") -> Iterator[Server]:
    """A server with nothing of the user's own, its files in ``home``; ended with all its kernels.

    ``application`` is ``jupyterlab`` or ``notebook`` (Notebook 7).
    """
    folder = home / "notebooks"
    folder.mkdir()
    settings = home / "config" / "lab" / "user-settings" / "@jupyterlab"
    quiet = {
        "apputils-extension/notification.jupyterlab-settings": {
            "fetchNews": "false",
            "checkForUpdates": False,
        },
        "docmanager-extension/plugin.jupyterlab-settings": {"autosave": False},
    }
    for name, value in quiet.items():
        (settings / name).parent.mkdir(parents=True, exist_ok=True)
        (settings / name).write_text(json.dumps(value))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        # The extension of this checkout, before one that the environment may hold.
        "JUPYTER_PATH": str(ROOT / "labextension" / "share" / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "config" / "lab" / "user-settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    log = (home / "server.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", application, "--no-browser", "--allow-root", f"--port={port}",
         "--ip=127.0.0.1", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}",
         f"--IdentityProvider.token={token}", "--LabApp.extension_manager=readonly",
         "--LabApp.expose_app_in_browser=True"],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
    )  # fmt: skip
    server = Server(f"http://127.0.0.1:{port}", token, folder, application)
    try:
        _wait_for(lambda: server.request("api/status"), process, home / "server.log")
        yield server
    finally:
        _end(process)
        log.close()


def _wait_for(ready: Callable[[], object], process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(150):
        if process.poll() is not None:
            break
        try:
            ready()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the server did not start:\n" + log.read_text(errors="replace")[-4000:])


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and every process that it started."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
    for child in family:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            pass
    psutil.wait_procs(family, timeout=10)


def artefact(name: str) -> Path:
    """Where to keep a file that a person may want to look at: ``tests/artefacts/NAME``."""
    ARTEFACTS.mkdir(exist_ok=True)
    return ARTEFACTS / name


#: Closes every document of a JupyterLab, saved or not.
CLOSE_ALL = """async () => {
  const documents = [...jupyterapp.shell.widgets("main")];
  for (const widget of documents) {
    if (widget.context?.model) widget.context.model.dirty = false;
    widget.close();
  }
  while (!documents.every((widget) => widget.isDisposed)) {
    await new Promise((then) => setTimeout(then, 20));
  }
  for (const close of document.querySelectorAll(".Toastify__close-button")) close.click();
  localStorage.clear();
}"""

#: Opens a notebook in a JupyterLab that is there.
OPEN = """async ([path, theme]) => {
  await jupyterapp.commands.execute("apputils:change-theme", { theme });
  const { commands, serviceManager, shell } = jupyterapp;
  await serviceManager.sessions.refreshRunning();  // not what the last notebook had
  await serviceManager.kernels.refreshRunning();
  const panel = await commands.execute("docmanager:open", { path });
  await panel.context.ready;
  shell.activateById(panel.id);
}"""


#: Whether the kernel of a JupyterLab's notebook has nothing to do.
IDLE = """() => {
  const { session } = globalThis.jupyterapp?.shell.currentWidget?.sessionContext ?? {};
  return session?.kernel?.connectionStatus === "connected" && session.kernel.status === "idle";
}"""


def _no_new_session(route: Route) -> None:
    if route.request.method == "GET":
        route.continue_()
    else:
        route.abort()


class Lab:
    """One browser page on a JupyterLab or Notebook 7."""

    def __init__(self, server: Server, page: Page) -> None:
        self.server = server
        self.page = page
        #: What the page wrote to its console as an error.
        self.errors: list[str] = []
        #: Whether the JupyterLab that is loaded has kernels; None where there is none yet.
        self.loaded: bool | None = None
        page.on("console", lambda m: self._error(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self._error(str(error)))

    @property
    def reusable(self) -> bool:
        """Whether another notebook can be opened in what is loaded."""
        there = "document.body.contains(globalThis.jupyterapp?.shell.node)"
        return bool(self.loaded) and self.page.evaluate(there) is True

    def clear(self) -> None:
        """Make the page as good as new: without documents, errors and settings of its own."""
        self.page.unroute_all()
        self.page.evaluate(CLOSE_ALL)
        self.page.mouse.move(1, 1)
        self.page.set_viewport_size(VIEWPORT)
        self.errors.clear()

    def _error(self, text: str) -> None:
        if not (self.server.application == "notebook" and text == NOTEBOOK_OWN_ERROR):
            self.errors.append(text)

    def open_notebook(
        self,
        *cells: str,
        made: nbformat.NotebookNode | None = None,
        name: str = "test.ipynb",
        kernel: bool = True,
        trust: bool = True,
        theme: str = "light",
    ) -> None:
        """Open a notebook of ``cells``, or ``made``, or else the file that is there.

        ``kernel=False`` opens it without a kernel, its outputs trusted as ``jupyter trust``
        does unless ``trust=False``; so are those of ``made``.
        """
        path = self.server.folder / name
        new = bool(cells) or made is not None
        if new:
            nbformat.write(made or notebook(*cells), path)
        if made is not None and trust:
            self.sign(path)
        if not kernel:
            read = nbformat.read(path, as_version=4)
            read.metadata["opened"] = secrets.token_hex(4)  # a text that nothing has signed yet
            nbformat.write(read, path)
            if trust:
                self.sign(path)
            none = json.dumps({"default": "", "kernelspecs": {}})
            self.page.route("**/api/kernelspecs*", lambda route: route.fulfill(body=none))
            self.page.route("**/api/sessions*", _no_new_session)
        if self.loaded is kernel and (new or not kernel):
            self.loaded = None  # until this has succeeded
            self.page.evaluate(CLOSE_ALL)
            self.page.evaluate(OPEN, [name, _THEMES[theme]])
        else:
            self._load(name, theme, kernel)
        count = len(nbformat.read(self.server.folder / name, as_version=4).cells)
        self.page.wait_for_function(
            f"document.querySelectorAll('.jp-Notebook .jp-Cell').length === {count}",
            timeout=SETTLE,
            polling=100,
        )
        if kernel:
            self.wait_for_idle()
        else:
            self.page.locator(".jp-Dialog button").first.wait_for()
            self.page.keyboard.press("Escape")
            self.page.wait_for_selector(".jp-Dialog", state="detached")
        self.loaded = kernel if self.server.application == "jupyterlab" else None

    def _load(self, name: str, theme: str, kernel: bool) -> None:
        """Load the page with a notebook that is there."""
        self._settings(theme, kernel)
        # "doc" shows the notebook alone; a new workspace has nothing open from before.
        where = f"doc/workspaces/{secrets.token_hex(4)}/tree"
        if self.server.application == "notebook":
            where = "notebooks"
        self.page.goto(f"{self.server.url}/{where}/{name}?token={self.server.token}")

    def sign(self, path: Path) -> None:
        """Trust a notebook's outputs, as ``jupyter trust`` does."""
        data = self.server.folder.parent / "data"
        NotebookNotary(data_dir=str(data)).sign(nbformat.read(path, as_version=4))

    def _settings(self, theme: str, kernel: bool) -> None:
        base = self.server.folder.parent / "config" / "lab" / "user-settings" / "@jupyterlab"
        for name, value in {
            "apputils-extension/themes": {"theme": _THEMES[theme]},
            "docmanager-extension/plugin": {"autosave": False},
            "notebook-extension/tracker": {
                "autoStartDefaultKernel": kernel,
                "kernelShutdown": False,
                "windowingMode": "none",
            },
        }.items():
            path = base / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(value))

    def wait_for_idle(self, timeout: float = 60.0) -> None:
        """Wait until the page says that the kernel has nothing to do."""
        if self.server.application == "notebook":
            self._wait_for_kernel()
            says = '.jp-Notebook-ExecutionIndicator[data-status="idle"]'
            self.page.wait_for_selector(says, timeout=timeout * 1000)
        else:
            self.page.wait_for_function(IDLE, timeout=timeout * 1000, polling=50)

    def _wait_for_kernel(self) -> None:
        """Notebook 7 says idle before it has a kernel, and what is run then is not run at all."""
        for _ in range(300):
            try:
                kernels = self.server.request("api/kernels")
            except OSError:  # the server is just making one
                kernels = []
            if any(k["connections"] and k["execution_state"] == "idle" for k in kernels):
                return
            self.page.wait_for_timeout(200)
        raise AssertionError("the notebook has no kernel")

    def run_all_cells(self, *, wait: bool = True, timeout: float = 60.0) -> None:
        """Run the whole notebook, through the menu as a user does."""
        self.menu("Run", "Run All Cells")
        if wait:
            self.page.wait_for_function(
                """() => { const cells = [...document.querySelectorAll('.jp-CodeCell')];
                   return cells.every(c => /\\[\\d+\\]/.test(
                     c.querySelector('.jp-InputPrompt')?.textContent ?? '')
                     || !c.querySelector('.cm-content')?.textContent.trim()); }""",
                timeout=timeout * 1000,
            )
            self.wait_for_idle(timeout)

    def run_cell(self, index: int, *, wait: bool = True, timeout: float = 60.0) -> None:
        """Run one code cell, by its number from 0, with Shift-Enter."""
        editor = self.page.locator(".jp-CodeCell").nth(index).locator(".cm-content")
        before = self.prompt(index)
        editor.click()
        self.page.keyboard.press("Shift+Enter")
        if wait:
            self.page.wait_for_function(
                """([index, before]) => { const text = document.querySelectorAll('.jp-CodeCell')
                   [index].querySelector('.jp-InputPrompt').textContent;
                   return /\\[\\d+\\]/.test(text) && text !== before; }""",
                arg=[index, before],
                timeout=timeout * 1000,
            )

    def prompt(self, index: int) -> str:
        """What stands before a code cell: ``[3]:`` once it has run, ``[*]:`` while it does."""
        prompt = self.page.locator(".jp-CodeCell").nth(index).locator(".jp-InputPrompt")
        return prompt.text_content() or ""

    def menu(self, *path: str) -> None:
        """Choose from the menu bar."""
        self.page.locator(f'.lm-MenuBar-item:has-text("{path[0]}")').first.click()
        for step in path[1:]:
            self.page.locator(
                ".lm-Menu-item", has=self.page.locator(f'.lm-Menu-itemLabel:text-is("{step}")')
            ).last.click()

    def save(self) -> nbformat.NotebookNode:
        """Save, and read what was written."""
        path = next(self.server.folder.glob("*.ipynb"))
        before = path.stat().st_mtime_ns
        self.page.locator(".jp-Notebook").click(position={"x": 4, "y": 4})
        self.page.keyboard.press("Control+s")
        for _ in range(100):
            if path.stat().st_mtime_ns != before:
                time.sleep(0.2)
                return nbformat.read(path, as_version=4)  # type: ignore[no-any-return]
            time.sleep(0.1)
        raise AssertionError("the notebook was not saved")

    def artefact(self, name: str) -> Path:
        """Where to keep a file that a person may want to look at: ``tests/artefacts/NAME``."""
        return artefact(name)

    def screenshot(self, name: str) -> Path:
        """Keep a picture of the page as ``tests/artefacts/NAME.png``."""
        path = self.artefact(f"{name}.png")
        self.page.screenshot(path=path)
        return path
