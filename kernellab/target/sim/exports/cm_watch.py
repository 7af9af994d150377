"""Waiting for changes of registry keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kernel import cm_watch
from ..kernel.attributes import handle_target
from ..kernel.cm import KeyBody, node_of
from ..kernel.cm_watch import LEGAL, Post
from ..kernel.execution import Wait
from ..kernel.structs import Struct, const
from ..kernel.workers import WorkItem
from .registry import PASSIVE_LEVEL, export, ntstatus

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel


@export(
    "NTSTATUS ZwNotifyChangeKey(HANDLE KeyHandle, HANDLE Event, PIO_APC_ROUTINE ApcRoutine, "
    "PVOID ApcContext, PIO_STATUS_BLOCK IoStatusBlock, ULONG CompletionFilter, "
    "BOOLEAN WatchTree, PVOID Buffer, ULONG BufferSize, BOOLEAN Asynchronous)",
    irql=PASSIVE_LEVEL,
    simplified="attributes and security of keys never change",
)
@ntstatus
def ZwNotifyChangeKey(
    k: Kernel,
    KeyHandle: int,
    Event: int,
    ApcRoutine: int,
    ApcContext: int,
    IoStatusBlock: int,
    CompletionFilter: int,
    WatchTree: int,
    Buffer: int,
    BufferSize: int,
    Asynchronous: int,
) -> int | Wait:
    """WDK: "ZwNotifyChangeKey function (ntifs.h)".

    From kernel mode ApcRoutine is a WORK_QUEUE_ITEM and ApcContext the queue it is put into.
    """
    if not CompletionFilter or CompletionFilter & ~LEGAL or Buffer or BufferSize:
        return const("STATUS_INVALID_PARAMETER")
    obj = handle_target(k, KeyHandle, "Key")
    node_of(obj)
    body = obj.payload
    assert isinstance(body, KeyBody)
    post = Post(IoStatusBlock, k.memory.space)
    if Event:
        post.event = handle_target(k, Event, "Event").address
        k.dispatcher.set_state(post.event, 0)
        k.ob.reference(post.event)
    if not Asynchronous:
        post.thread = k.thread
    elif ApcRoutine:
        entry = Struct(k.memory, "WORK_QUEUE_ITEM", ApcRoutine)
        routine, parameter = entry["WorkerRoutine"], entry["Parameter"]
        post.item, post.queue = WorkItem(ApcRoutine, routine, (parameter,), k.caller()), ApcContext
    block = Struct(k.memory, "IO_STATUS_BLOCK", IoStatusBlock)
    block["Status"] = const("STATUS_PENDING")
    return cm_watch.request(k, body, CompletionFilter, tree=bool(WatchTree), post=post)
