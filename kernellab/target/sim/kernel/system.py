"""What drivers leave with the system: extensions, log entries, things to do later.

Simple data, by guest address; what each entry means is said by the export that fills it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from .structs import size_of

if TYPE_CHECKING:
    from .kernel import Kernel

_TAG: Final = int.from_bytes(b"IoSy", "little")


@dataclass(slots=True)
class Reinitialization:
    """A routine to call once DriverEntry has succeeded, and its context."""

    driver_object: int
    routine: int
    context: int
    owner: str


@dataclass(slots=True)
class SystemState:
    """Everything of this kind on one machine."""

    #: Entries that drivers wrote to the error log, as the client gets them.
    error_log: list[dict[str, Any]] = field(default_factory=list)
    #: Error log entries that were allocated and not written yet: the I/O object each is about.
    log_entries: dict[int, int] = field(default_factory=dict)
    #: What reason callbacks had to add to a dump, by GUID.
    secondary_data: dict[str, bytes] = field(default_factory=dict)
    #: Processors on which a print callback runs: what it prints is not given to it again.
    printing: set[int] = field(default_factory=set)
    #: A bug check is on its way: KiBugCheckActive.
    crashing: bool = False
    #: DPFLTR masks that were changed, by component.
    filter_masks: dict[int, int] = field(default_factory=dict)
    reinitializations: list[Reinitialization] = field(default_factory=list)
    #: Driver object extensions by driver object and client identification address.
    extensions: dict[tuple[int, int], int] = field(default_factory=dict)
    #: Devices to verify, by ETHREAD.
    to_verify: dict[int, int] = field(default_factory=dict)
    #: Memory of the system's own that drivers get the address of, by name.
    blocks: dict[str, int] = field(default_factory=dict)
    #: Threads (by identifier) whose hard errors are disabled.
    hard_errors_disabled: set[int] = field(default_factory=set)

    def block(self, k: Kernel, name: str, size: int) -> int:
        """Memory of the system's own, zeroed, allocated when it is first asked for."""
        if name not in self.blocks:
            self.blocks[name] = k.pool.allocate(size, _TAG)
        return self.blocks[name]

    def structure(self, k: Kernel, name: str) -> int:
        """The address of the one structure of this name that the system has."""
        return self.block(k, name, size_of(name))


def forget_driver(k: Kernel, name: str, driver_object: int) -> None:
    """Take away what a driver that is unloaded has left registered."""
    state = k.system
    for key in [key for key in state.extensions if key[0] == driver_object]:
        # Windows frees these with the driver object.
        k.pool.free(k.pool.live[state.extensions.pop(key)])
    state.reinitializations = [r for r in state.reinitializations if r.owner != name]
    for left in k.callbacks.owned_by(name):
        k.callbacks.remove(left)
