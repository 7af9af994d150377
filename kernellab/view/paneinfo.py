"""What a pane is told that its own stage cannot know: of builds, of rules, of a driver's code."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ..errors import KernelLabError
from ..protocol import BugcheckEvent, Event

if TYPE_CHECKING:
    from ..build import BuildResult
    from ..driver import Driver

#: Said of a cell whose build was stopped.
NOT_BUILT: Final = "the build was stopped: run the cell to build it; what ran before still runs"

#: Said of a cell that was stopped while its target was being connected.
NOT_LOADED: Final = "it is built, and not loaded: run the cell again"


def with_code(event: Event, driver: Driver | None) -> Event:
    """A bug check with the instructions around what the driver did last; else the event."""
    if not isinstance(event, BugcheckEvent) or driver is None or event.disassembly:
        return event
    own = (
        (number, frame.rva)
        for number, frame in enumerate(event.frames)
        if frame.module.removesuffix(".sys") == driver.name
    )
    at = next(own, None)
    if at is None:
        return event
    from ..editing.code import around

    # All but the innermost are return addresses: the call is before.
    rva = at[1] - 1 if at[0] else at[1]
    return replace(event, disassembly=around(driver.image, rva))


def rules_of(target: str) -> dict[str, tuple[str, str]]:
    """What is known of the rules of a target's verifier: by name, what each finds, and the page."""
    from ..target import registry

    try:
        rules = registry.get(target).rules()
    except KernelLabError:
        return {}  # whoever connects to it says it
    return {rule.name: (rule.summary, rule.page) for rule in rules}


def about_build(result: BuildResult) -> dict[str, Any]:
    """What the pane says of a build."""
    return {
        "seconds": result.seconds,
        "size": result.size,
        "pdb_size": result.pdb.stat().st_size,
        "sha256": result.sha256,
        "command": result.command,
        "release": result.release,
        "cached": result.cached,
        "crates": list(result.crates),
        "warnings": sum(each.level == "warning" for each in result.diagnostics),
    }
