"""The conversation with rust-analyzer: start, documents, questions, and its end."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import Any, Final

from .project import ROOT_FILE, Description
from .rpc import METHOD_NOT_FOUND, Closed, Connection, Refused
from .server import MEMORY, Server

#: Seconds that a start may take; on a machine that does nothing else it takes about five.
_START: Final = 120.0

#: Answers after which a rust-analyzer that ended may be started anew once more.
_GOOD_FOR: Final = 100

#: "Content modified" and "server cancelled": the question is to be asked again.
_AGAIN: Final = (-32801, -32802)

_SAMPLE: Final = """\
#![no_std]
use windows_kernel_rs::prelude::*;
fn sample(text: &str) -> Option<usize> { let length = text.len(); Some(length).filter(|n| *n > 0) }
fn more() { wind }
fn bound() { windows_kernel_sys::Io }
"""


#: Half a character, which can be typed but is no text: rust-analyzer would end.
_LONE: Final = re.compile("[\ud800-\udfff]")


class NotReady(Exception):
    """rust-analyzer is not there yet, or did not answer in time. Ask again later."""


class Gone(Exception):
    """rust-analyzer does not run, and will not: the text says why."""


class Analyzer:
    """One rust-analyzer for the drivers of one notebook; safe to use from several threads.

    ``command`` is the program with its arguments. A program that ends, or writes what is no
    message, is started anew once; when it does so again soon, every question raises Gone.
    """

    def __init__(
        self, command: Sequence[str], description: Description, *, memory: int = MEMORY
    ) -> None:
        self._command = list(command)
        self._description = description
        self._memory = memory
        self._lock = threading.RLock()
        self._ready = threading.Event()  # set as well when it never will be
        self._server: Server | None = None
        self._connection: Connection | None = None
        self._documents: dict[Path, str] = {}
        self._version = 0
        self._slots: OrderedDict[str, int] = OrderedDict()
        self._starts = 0
        self._answers = 0
        self._closed = False
        self._quiet = threading.Event()
        self.trouble = ""
        #: Seconds from the start until the first completion was answered.
        self.seconds: float | None = None

    # -- start and end ------------------------------------------------------------------------

    def start(self) -> None:
        """Start it in the background."""
        with self._lock:
            if self._starts or self._closed:
                return
            self._starts += 1
        self._start_thread()

    def _start_thread(self) -> None:
        threading.Thread(target=self._boot, name="kernellab-analyzer", daemon=True).start()

    def wait(self, timeout: float) -> bool:
        """Whether it is warm within ``timeout`` seconds."""
        return self._ready.wait(timeout) and not self.trouble and not self._closed

    @property
    def pid(self) -> int:
        """Its process; 0 where there is none."""
        return self._server.pid if self._server is not None else 0

    def memory(self) -> int:
        """Its resident memory, bytes."""
        return self._server.memory() if self._server is not None else 0

    def close(self) -> None:
        """End it."""
        with self._lock:
            self._closed = True
            server, self._server = self._server, None
            connection, self._connection = self._connection, None
        self._ready.set()
        if connection is not None:
            connection.close()
        if server is not None:
            server.end()

    def _boot(self) -> None:
        begin = time.perf_counter()
        try:
            self._description.lay_out()
            with self._lock:
                if self._closed:
                    return
                server = Server(self._command, self._description.folder, self._memory)
                self._documents.clear()
                self._quiet.clear()
                self._server = server
                self._connection = connection = Connection(
                    *server.pipes,
                    on_notification=self._told,
                    on_request=self._asked,
                    on_close=lambda: self._ended(server),
                )
            self._introduce(connection)
        except (OSError, Closed, Refused, TimeoutError, FutureTimeoutError) as error:
            self._fail(f"rust-analyzer does not start: {error or type(error).__name__}")
            return
        self.seconds = time.perf_counter() - begin
        self._ready.set()

    def _introduce(self, connection: Connection) -> None:
        folder = self._description.folder
        self._await(connection, "initialize", {
            "processId": None,  # it may be in another container's numbers; EOF ends it anyway
            "clientInfo": {"name": "kernellab"},
            "rootUri": folder.as_uri(),
            "workspaceFolders": [{"uri": folder.as_uri(), "name": "notebook"}],
            "initializationOptions": self._settings(),
            "capabilities": _CAPABILITIES,
        })  # fmt: skip
        connection.notify("initialized", {})
        self._quiet.wait(_START)
        # What the first Tab needs is computed now: the names of the framework and of `core`.
        path = self._description.root(self._description.slots - 1)
        self._open(connection, path, _SAMPLE)
        lines = _SAMPLE.split("\n")
        for line, after in (
            (2, "text."),
            (2, "Some(length)."),
            (3, "wind"),
            (1, "prelude::"),
            (4, "Io"),
        ):
            place = {"line": line, "character": lines[line].index(after) + len(after)}
            question = {"textDocument": {"uri": path.as_uri()}, "position": place}
            self._await(connection, "textDocument/completion", question)
        place = {"line": 2, "character": lines[2].index("len()")}
        question = {"textDocument": {"uri": path.as_uri()}, "position": place}
        self._await(connection, "textDocument/hover", question)

    def _await(self, connection: Connection, method: str, params: Any) -> Any:
        for _ in range(50):
            try:
                return connection.request(method, params)[1].result(_START)
            except Refused as refused:
                if refused.code not in _AGAIN:
                    raise
                time.sleep(0.05)
        return None

    def _settings(self) -> dict[str, Any]:
        return {**_SETTINGS, "linkedProjects": [self._description.project()]}

    def _fail(self, why: str) -> None:
        with self._lock:
            self.trouble = self.trouble or why
        self._ready.set()
        if self._connection is not None:
            self._connection.close()

    def _ended(self, server: Server) -> None:
        """The connection is closed: start anew, or say that it is over."""
        server.end()
        with self._lock:
            if self._closed or self._server is not server:
                return
            self._server = self._connection = None
            why = "took more memory than it may have" if server.over_limit else "ended by itself"
            if self.trouble:
                return
            if self._starts > 1 and self._answers < _GOOD_FOR:
                self.trouble = f"rust-analyzer {why}, twice: completion is off until the kernel"
                self.trouble += " is restarted"
                self._ready.set()
                return
            self._starts += 1
            self._answers = 0
            self._ready.clear()
        self._start_thread()

    # -- what it says of its own accord -----------------------------------------------------------

    def _told(self, method: str, params: Any) -> None:
        if method == "experimental/serverStatus" and isinstance(params, dict):
            (self._quiet.set if params.get("quiescent") is True else self._quiet.clear)()

    def _asked(self, method: str, params: Any) -> Any:
        if method == "workspace/configuration":
            items = params.get("items") if isinstance(params, dict) else None
            return [self._settings() for _ in items] if isinstance(items, list) else []
        if method in ("client/registerCapability", "window/workDoneProgress/create"):
            return None
        if method.startswith("workspace/") and method.endswith("/refresh"):
            return None
        raise Refused(METHOD_NOT_FOUND, f"{method} is not offered")

    # -- documents -----------------------------------------------------------------------------

    def change(self, description: Description) -> None:
        """Other crates than until now; what is asked next may have to wait for them."""
        with self._lock:
            if description == self._description:
                return
            self._description = description
            connection = self._connection
            if connection is not None and self._ready.is_set():
                self._quiet.clear()
                connection.notify("workspace/didChangeConfiguration", {"settings": None})
        self._quiet.wait(10)

    def set_files(self, driver: str, files: Mapping[str, str]) -> Path:
        """Make ``files`` the sources of ``driver``; the root's is under an empty name.

        Returns the folder that they are in. Raises NotReady and Gone.
        """
        with self._lock:
            connection = self._running()
            slot = self._slot(connection, driver)
            folder = self._description.root(slot).parent
            wanted = {
                folder / (name or ROOT_FILE): _LONE.sub("\ufffd", text)
                for name, text in files.items()
            }
            for path in [p for p in self._documents if folder in p.parents and p not in wanted]:
                self._shut(connection, path)
            for path, text in wanted.items():
                self._open(connection, path, text)
            return folder

    def _slot(self, connection: Connection, driver: str) -> int:
        if driver in self._slots:
            self._slots.move_to_end(driver)
            return self._slots[driver]
        if len(self._slots) < self._description.slots:
            slot = len(self._slots)
        else:
            _, slot = self._slots.popitem(last=False)
            folder = self._description.root(slot).parent
            for path in [p for p in self._documents if folder in p.parents]:
                self._shut(connection, path)
        self._slots[driver] = slot
        return slot

    def _open(self, connection: Connection, path: Path, text: str) -> None:
        known = self._documents.get(path)
        if known == text:
            return
        self._version += 1
        document: dict[str, Any] = {"uri": path.as_uri(), "version": self._version}
        if known is None:
            document |= {"languageId": "rust", "text": text}
            connection.notify("textDocument/didOpen", {"textDocument": document})
        else:
            changes = [{"text": text}]
            connection.notify(
                "textDocument/didChange", {"textDocument": document, "contentChanges": changes}
            )
        self._documents[path] = text

    def _shut(self, connection: Connection, path: Path) -> None:
        del self._documents[path]
        connection.notify("textDocument/didClose", {"textDocument": {"uri": path.as_uri()}})

    # -- questions ------------------------------------------------------------------------------

    def ask(
        self, method: str, path: Path, params: Mapping[str, Any], *, timeout: float = 5.0
    ) -> Any:
        """The answer to a question about the document ``path``, as JSON.

        Raises NotReady (also after ``timeout`` seconds), Gone. None where the server has no answer.
        """
        question = {"textDocument": {"uri": path.as_uri()}, **params}
        deadline = time.monotonic() + timeout
        while True:
            with self._lock:
                connection = self._running()
                server = self._server
            try:
                number, answer = connection.request(method, question)
                result = self._result(connection, number, answer, deadline)
            except Refused as refused:
                if refused.code in _AGAIN and time.monotonic() < deadline:
                    time.sleep(0.005)
                    continue
                return None
            except Closed:
                raise NotReady("rust-analyzer has ended and starts anew") from None
            self._answers += 1
            if server is not None:
                server.watch()
            return result

    def _result(
        self, connection: Connection, number: int, answer: Future[Any], deadline: float
    ) -> Any:
        try:
            return answer.result(max(deadline - time.monotonic(), 0))
        except FutureTimeoutError:
            raise NotReady("rust-analyzer is busy") from None
        finally:
            if not answer.done():  # an interrupt comes here too
                with contextlib.suppress(Closed):
                    connection.give_up(number)

    def _running(self) -> Connection:
        if self.trouble:
            raise Gone(self.trouble)
        if self._closed:
            raise Gone("rust-analyzer is closed")
        if self._connection is None or not self._ready.is_set():
            raise NotReady("rust-analyzer is starting")
        return self._connection


#: One thread for what is long, nothing computed ahead of a question, no Cargo, no build.
_SETTINGS: Final[Mapping[str, Any]] = {
    "cachePriming": {"enable": False},
    "cargo": {"buildScripts": {"enable": False}},
    "checkOnSave": False,
    "completion": {
        "autoimport": {"enable": False},
        "callable": {"snippets": "none"},
        "postfix": {"enable": False},
    },
    "diagnostics": {"disabled": ["unlinked-file", "unresolved-proc-macro"]},
    "files": {"watcher": "client"},
    "hover": {"actions": {"enable": False}},
    "lru": {"capacity": 64},
    "numThreads": 2,
    "procMacro": {"enable": False},
}

_CAPABILITIES: Final[Mapping[str, Any]] = {
    "general": {"positionEncodings": ["utf-16"]},
    "workspace": {
        "configuration": True,
        # Nothing on disk changes, so nothing needs to be watched; without this it would.
        "didChangeWatchedFiles": {"dynamicRegistration": True},
    },
    "textDocument": {
        "completion": {"completionItem": {"snippetSupport": False}},
        "hover": {"contentFormat": ["markdown"]},
        "signatureHelp": {
            "signatureInformation": {
                "documentationFormat": ["markdown"],
                "parameterInformation": {"labelOffsetSupport": True},
                "activeParameterSupport": True,
            }
        },
        "diagnostic": {},
    },
    "experimental": {"serverStatusNotification": True},
}
