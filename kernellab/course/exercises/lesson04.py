"""The exercises of lesson 4: counting handles, refusing an open, the rest of a path."""

from __future__ import annotations

from contextlib import ExitStack

from ...errors import NtStatusError
from ..exercise import Trial, exercise


@exercise("4.1", "Who is inside?", driver="ex41_inside")
def _(trial: Trial) -> None:
    trial.fresh()
    with ExitStack() as stack:
        first = stack.enter_context(trial.target.open(r"\\.\Inside"))
        trial.expect(trial.lines, "One handle was opened, and nothing was printed.")
        trial.expect(
            trial.lines == ["inside: 1"],
            f"One handle is open, and the driver says: {'; '.join(trial.lines)}. Count first, print"
            " then; what does `fetch_add` return?",
        )
        stack.enter_context(trial.target.open(r"\\.\Inside"))
        first.close()
        trial.expect(
            len(trial.lines) > 2,
            "One of two handles was closed, and nothing was printed. Which function of"
            " `Operations` is called then?",
        )
    wanted = [f"inside: {count}" for count in (1, 2, 1, 0)]
    trial.expect(
        len(trial.lines) <= len(wanted),
        "Two handles were opened and closed: that makes four lines. CLEANUP and CLOSE both come"
        " for a close; print in one of them.",
    )
    trial.expect(
        trial.lines == wanted,
        f"Two were opened and closed: {'; '.join(wanted)} is expected, and there is"
        f" {'; '.join(trial.lines)}. `fetch_sub` returns what was there before.",
    )
    trial.clean_unload()


@exercise("4.2", "A table for two", driver="ex42_two")
def _(trial: Trial) -> None:
    path = r"\\.\Table"
    trial.fresh()
    with trial.target.open(path):
        for _ in range(2):
            trial.expect(
                not _refused(trial, path),
                "One handle is open and another was opened and closed; a third is refused: a"
                " handle that is closed does not give its place back. Which function is called"
                " then?",
            )
    with ExitStack() as stack:
        first = stack.enter_context(trial.target.open(path))
        stack.enter_context(trial.target.open(path))
        status = _refused(trial, path)
        trial.expect(status, "A third handle was opened while two were open.")
        trial.expect(
            status == "STATUS_SHARING_VIOLATION",
            f"The third open fails with {status}; it should be Error::SHARING_VIOLATION.",
        )
        first.close()
        trial.expect(
            not _refused(trial, path),
            "Two were inside, a third was refused, and one of the two left: a new one is refused as"
            " well. Does a closed handle give its place back, and has the refused open taken one?"
            " No CLOSE comes for that.",
        )
    for _ in range(3):
        trial.expect(
            not _refused(trial, path),
            "All handles are closed, and an open is refused: after some time the table is full of"
            " people who left.",
        )
    trial.clean_unload()


@exercise("4.3", "As many stars as you like", driver="ex43_stars")
def _(trial: Trial) -> None:
    trial.fresh()
    with ExitStack() as stack:
        handles = {}
        for count in (1, 5, 9):
            path = rf"\\.\Stars\{count}"
            status = _refused(trial, path)
            trial.expect(
                not status, f"{path} is refused with {status}. `open.name()` begins with \\."
            )
            handles[count] = stack.enter_context(trial.target.open(path))
        for count, handle in handles.items():
            found = handle.read(100)
            trial.expect(
                found == b"*" * count,
                rf"\\.\Stars\{count} reads as {found.decode(errors='replace')}. What `create`"
                " returns is the handle's state, here the number in `open.name()`.",
            )
    for rest in ("", "\\", "\\0", "\\x", "\\10", "\\5\\5", "\\*", "/5"):
        status = _refused(trial, rf"\\.\Stars{rest}")
        trial.expect(status, rf"\\.\Stars{rest} can be opened, and should not be.")
        trial.expect(
            status == "STATUS_OBJECT_NAME_NOT_FOUND",
            rf"\\.\Stars{rest} is refused with {status}; it should be"
            " Error::OBJECT_NAME_NOT_FOUND.",
        )
    trial.clean_unload()


def _refused(trial: Trial, path: str) -> str:
    """Open and close ``path``; the name of the status with which that fails, else empty."""
    try:
        trial.target.open(path).close()
    except NtStatusError as error:
        return error.name
    return ""
