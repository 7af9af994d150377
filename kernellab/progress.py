"""How far something is that takes long, on the command line."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable


class Progress:
    """What takes longer than a second says how far it is; on a terminal, on one line.

    What is said in the first second is shown when that is over, unless all is done by then.
    """

    def __init__(self, after: float = 1.0) -> None:
        self._stream = sys.stderr
        self._terminal = self._stream.isatty()
        self._lock = threading.Lock()
        self._text = self._shown = ""
        self._quiet = True
        self._timer = threading.Timer(after, self._speak)
        self._timer.daemon = True

    def __call__(self, done: int, total: int, what: str) -> None:
        with self._lock:
            self._text = f"{what} ({done} of {total})" if total else what
            if not self._quiet:
                self._show()

    def about(self, what: str) -> Callable[[int, int, str], None]:
        """The same for a part of the work, which is named before all that it says."""
        return lambda done, total, text: self(done, total, f"{what}: {text}")

    def _speak(self) -> None:
        with self._lock:
            self._quiet = False
            self._show()

    def _show(self) -> None:
        if self._text == self._shown:
            return
        self._shown = self._text
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{self._text[:width]}", end="", file=self._stream, flush=True)
        else:
            print(self._text, file=self._stream, flush=True)

    def __enter__(self) -> Progress:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._text = self._shown  # a timer that is just going off has nothing to say
            if self._shown and self._terminal:
                print("\r\x1b[K", end="", file=self._stream, flush=True)
