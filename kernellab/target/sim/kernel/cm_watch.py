"""Waiting for changes of registry keys: NtNotifyChangeKey.

Each open of a key has a watch from its first call on; the filter, and whether the tree below
counts, are those of that call. A change completes the requests that wait, with
STATUS_NOTIFY_ENUM_DIR; one that comes while none waits completes the next at once. When the last
handle of the open is closed, or its key deleted, those that wait end with STATUS_NOTIFY_CLEANUP.
WDK page: "ZwNotifyChangeKey function (ntifs.h)".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ..machine.memory import AddressSpace, MemoryFault
from .execution import Wait
from .structs import Struct, const
from .workers import WorkItem

if TYPE_CHECKING:
    from .cm import KeyBody, KeyNode
    from .kernel import Kernel
    from .ob import Object
    from .thread import Thread

#: REG_NOTIFY_CHANGE_…: of names of subkeys, of values.
NAME, LAST_SET = const("REG_NOTIFY_CHANGE_NAME"), const("REG_NOTIFY_CHANGE_LAST_SET")
LEGAL: Final = 0xF


@dataclass(slots=True)
class Post:
    """One request: where its status goes, and who is told that it is completed."""

    block: int
    space: AddressSpace
    #: The event's address, 0 for none; the request has a reference to it.
    event: int = 0
    item: WorkItem | None = None
    queue: int = 0
    #: The thread that waits for a synchronous one.
    thread: Thread | None = None


@dataclass(slots=True)
class Watch:
    """What one open of a key watches for."""

    node: KeyNode
    filter: int
    tree: bool
    #: Something has changed, and nobody was told of it.
    changed: bool = False
    posts: list[Post] = field(default_factory=list)

    def concerns(self, node: KeyNode, what: int) -> bool:
        """Whether a change of ``node`` is one that it watches for."""
        if not self.filter & what:
            return False
        at: KeyNode | None = node
        while at is not None:
            if at is self.node:
                return True
            at = at.parent if self.tree else None
        return False


def request(k: Kernel, body: KeyBody, what: int, *, tree: bool, post: Post) -> int | Wait:
    """Begin a request: its status, or what the current thread waits with."""
    watch = body.watch
    if watch is None:
        watch = body.watch = Watch(body.node, what, tree)
        k.key_watches.append(watch)
    watch.posts.append(post)
    if watch.changed:
        watch.changed = False
        thread, post.thread = post.thread, None
        _complete(k, watch, const("STATUS_NOTIFY_ENUM_DIR"))
        return const("STATUS_NOTIFY_ENUM_DIR") if thread else const("STATUS_PENDING")
    if post.thread is None:
        return const("STATUS_PENDING")
    post.thread.waiting_on = post
    return Wait(f"a change of the key {body.node.path}")


def changed(k: Kernel, node: KeyNode, what: int) -> None:
    """Tell who watches that a key was changed; ``what`` is NAME or LAST_SET."""
    for watch in k.key_watches:
        if watch.concerns(node, what):
            watch.changed = not watch.posts
            _complete(k, watch, const("STATUS_NOTIFY_ENUM_DIR"))


def deleted(k: Kernel, node: KeyNode) -> None:
    """A key is gone: nothing of it will change any more."""
    for watch in k.key_watches:
        if watch.node is node:
            _complete(k, watch, const("STATUS_NOTIFY_CLEANUP"))


def closed(k: Kernel, obj: Object) -> None:
    """The last handle of an open of a key was closed."""
    from .cm import KeyBody

    body = obj.payload
    assert isinstance(body, KeyBody)
    if body.watch is not None:
        _complete(k, body.watch, const("STATUS_NOTIFY_CLEANUP"))
        k.key_watches.remove(body.watch)
        body.watch = None


def _complete(k: Kernel, watch: Watch, status: int) -> None:
    posts, watch.posts = watch.posts, []
    for post in posts:
        try:
            with k.memory.within(post.space):
                block = Struct(k.memory, "IO_STATUS_BLOCK", post.block)
                block["Status"], block["Information"] = status, 0
        except MemoryFault:
            pass  # its memory is gone, as a program's can be: nobody is left to read it
        if post.event:
            k.dispatcher.signal(post.event, 1)
            k.ob.dereference(post.event)
        if post.item is not None:
            k.workers.queue(post.item, post.queue)
        if post.thread is not None:
            k.scheduler.wake(post.thread, status)
