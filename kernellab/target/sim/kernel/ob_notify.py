"""Handles of processes and threads, whose creation drivers watch and restrict.

WDK pages: "ObRegisterCallbacks function (wdm.h)", "OB_PRE_OPERATION_INFORMATION structure (wdm.h)",
"OB_PRE_CREATE_HANDLE_INFORMATION structure (wdm.h)".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .callbacks import Registration
from .cm_notify import Scratch
from .execution import Steps
from .ob import Object
from .obtypes import type_of
from .structs import Struct, size_of

if TYPE_CHECKING:
    from .kernel import Kernel
    from .process import Process

KIND: Final = "ObRegisterCallbacks"
CREATE, DUPLICATE = 1, 2  # OB_OPERATION_HANDLE_CREATE, …_DUPLICATE
#: Types that callbacks can be registered for; desktops are not simulated.
WATCHED: Final = ("Process", "Thread")


@dataclass(slots=True)
class Operations:
    """What one entry of a registration is for: a type, which operations, its routines."""

    type: str
    operations: int
    pre: int
    post: int


@dataclass(slots=True)
class Asked:
    """A handle to be made."""

    object: Object
    pid: int
    access: int
    owner: str = ""
    kernel: bool = False
    attributes: int = 0
    #: For a duplicated handle: from which process to which.
    source: Process | None = None
    target: Process | None = None

    @property
    def operation(self) -> int:
        """CREATE or DUPLICATE."""
        return DUPLICATE if self.source is not None else CREATE


def open_watched(k: Kernel, asked: Asked) -> Steps:
    """Make a handle; drivers may take rights away before. The value is the handle."""
    watchers = [
        r
        for r in k.callbacks.of(KIND)
        if r.detail.type == asked.object.type and r.detail.operations & asked.operation
    ]
    granted = type_of(asked.object.type).map(asked.access)
    if not watchers:
        return _open(k, asked, granted)
    scratch = Scratch(k)
    try:
        contexts: dict[int, int] = {}
        granted = yield from _pre(k, asked, watchers, granted, scratch, contexts)
        handle = _open(k, asked, granted)
        yield from _post(k, asked, watchers, granted, scratch, contexts)
    finally:
        scratch.free()
    return handle


def _open(k: Kernel, asked: Asked, granted: int) -> int:
    return k.ob.open(
        *(asked.object, asked.pid, granted, asked.owner),
        kernel=asked.kernel,
        attributes=asked.attributes,
    )


def _information(k: Kernel, name: str, asked: Asked, scratch: Scratch, parameters: int) -> Struct:
    info = Struct(k.memory, name, scratch.block(size_of(name)))
    info["Operation"] = asked.operation
    info["Flags"] = int(asked.kernel)
    info["Object"] = asked.object.address
    info["ObjectType"] = next(a for a, t in k.object_types.items() if t == asked.object.type)
    info["Parameters"] = parameters
    return info


def _pre(
    k: Kernel,
    asked: Asked,
    watchers: Sequence[Registration],
    granted: int,
    scratch: Scratch,
    contexts: dict[int, int],
) -> Steps:
    name = "OB_PRE_DUPLICATE_HANDLE_INFORMATION"
    parameters = Struct(k.memory, name, scratch.block(size_of(name)))
    parameters["DesiredAccess"] = parameters["OriginalDesiredAccess"] = granted
    if asked.source is not None and asked.target is not None:
        parameters["SourceProcess"] = asked.source.object
        parameters["TargetProcess"] = asked.target.object
    info = _information(k, "OB_PRE_OPERATION_INFORMATION", asked, scratch, parameters.address)
    for watcher in watchers:
        if not watcher.detail.pre:
            continue
        info["CallContext"] = 0
        watcher.routine = watcher.detail.pre
        arguments = (watcher.context, info.address)
        yield from k.callbacks.invoke(watcher, arguments, "a handle callback")
        contexts[watcher.cookie] = info["CallContext"]
        # Rights can be taken away, not given.
        parameters["DesiredAccess"] &= granted
    return parameters["DesiredAccess"]


def _post(
    k: Kernel,
    asked: Asked,
    watchers: Sequence[Registration],
    granted: int,
    scratch: Scratch,
    contexts: dict[int, int],
) -> Steps:
    name = "OB_POST_CREATE_HANDLE_INFORMATION"
    parameters = Struct(k.memory, name, scratch.block(size_of(name)))
    parameters["GrantedAccess"] = granted
    info = _information(k, "OB_POST_OPERATION_INFORMATION", asked, scratch, parameters.address)
    for watcher in reversed(watchers):
        if not watcher.detail.post:
            continue
        info["CallContext"] = contexts.get(watcher.cookie, 0)
        watcher.routine = watcher.detail.post
        arguments = (watcher.context, info.address)
        yield from k.callbacks.invoke(watcher, arguments, "a handle callback")
