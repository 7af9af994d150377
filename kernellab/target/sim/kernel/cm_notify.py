"""Registry callbacks: telling drivers of each operation before it is done and after.

A routine that answers a pre-notification with a failure blocks the operation; with
STATUS_CALLBACK_BYPASS it says that it has done it itself. In both cases no post-notification
follows. In a post-notification STATUS_CALLBACK_BYPASS makes its ReturnStatus the operation's. WDK
pages: "Handling Notifications", "EX_CALLBACK_FUNCTION callback function (wdm.h)",
"REG_POST_OPERATION_INFORMATION structure (wdm.h)".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from kernellab import ntdata

from .execution import Steps
from .structs import UNICODE_STRING, Struct, const, size_of, write_unicode_string

if TYPE_CHECKING:
    from .kernel import Kernel

#: The kind of their registrations in :mod:`.callbacks`.
KIND: Final = "CmRegisterCallback"
_TAG: Final = int.from_bytes(b"CMcb", "little")


class Scratch:
    """Guest memory that lives as long as one operation."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        self._blocks: list[int] = []

    def block(self, size: int) -> int:
        """Zeroed memory; 0 where there is none left."""
        address = self._k.pool.allocate(max(size, 1), _TAG)
        if address:
            self._blocks.append(address)
        return address

    def text(self, text: str) -> int:
        """A UNICODE_STRING."""
        at = self.block(size_of(UNICODE_STRING))
        write_unicode_string(self._k.memory, at, self.block(2 * len(text) + 2), text)
        return at

    def data(self, data: bytes) -> int:
        """A copy of ``data``; null where there is none."""
        if not data:
            return 0
        at = self.block(len(data))
        self._k.memory.write(at, data)
        return at

    def free(self) -> None:
        """Give everything back."""
        for address in self._blocks:
            if address in self._k.pool.live:
                self._k.pool.free(self._k.pool.live[address])
        self._blocks.clear()


def watched(k: Kernel) -> bool:
    """Whether any driver wants to be told."""
    return bool(k.callbacks.of(KIND))


def notified(
    k: Kernel,
    operation: str,
    struct: str,
    fields: Callable[[Scratch], Mapping[str, int]],
    action: Callable[[], int],
    *,
    bypassed: Callable[[], int] | None = None,
    result: Callable[[], int] | None = None,
) -> Steps:
    """Do ``action`` (its value is an NTSTATUS) between its notifications; the NTSTATUS in the end.

    ``operation`` is what follows ``RegNtPre`` in the class' name. ``fields`` makes the pre
    information in a ``struct``. ``bypassed`` is done instead where a driver did the operation;
    ``result`` tells the object of the post-notification where that is not the one of the fields.
    """
    registrations = k.callbacks.of(KIND)
    if not registrations:
        return action()
    scratch = Scratch(k)
    try:
        information = Struct(k.memory, struct, scratch.block(size_of(struct)))
        for name, value in fields(scratch).items():
            information[name] = value
        contexts: dict[int, int] = {}
        for registration in registrations:
            information["CallContext"] = 0
            pre = const(f"RegNtPre{operation}")
            arguments = (registration.context, pre, information.address)
            answer = yield from k.callbacks.invoke(registration, arguments, "a registry callback")
            answer &= 0xFFFFFFFF
            if answer == const("STATUS_CALLBACK_BYPASS"):
                return bypassed() if bypassed is not None else 0
            if not ntdata.nt_success(answer):
                return answer
            contexts[registration.cookie] = information["CallContext"]
        status = action()
        return (yield from _post(k, operation, scratch, information, contexts, status, result))
    finally:
        scratch.free()


def _post(
    k: Kernel,
    operation: str,
    scratch: Scratch,
    information: Struct,
    contexts: Mapping[int, int],
    status: int,
    result: Callable[[], int] | None,
) -> Steps:
    size = size_of("REG_POST_OPERATION_INFORMATION")
    post = Struct(k.memory, "REG_POST_OPERATION_INFORMATION", scratch.block(size))
    post["Object"] = result() if result is not None else information["Object"]
    post["Status"] = post["ReturnStatus"] = status
    post["PreInformation"] = information.address
    # The lowest one hears first of what has been done.
    for registration in reversed(k.callbacks.of(KIND)):
        if registration.cookie not in contexts:
            continue
        post["CallContext"] = contexts[registration.cookie]
        arguments = (registration.context, const(f"RegNtPost{operation}"), post.address)
        answer = yield from k.callbacks.invoke(registration, arguments, "a registry callback")
        if answer & 0xFFFFFFFF == const("STATUS_CALLBACK_BYPASS"):
            status = post["ReturnStatus"]
            post["Status"] = status
    return status
