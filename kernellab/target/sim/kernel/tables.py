"""Generic tables: RTL_GENERIC_TABLE on splay trees, RTL_AVL_TABLE on balanced ones.

A node is memory that the driver's own routine allocates: links, then the element. The driver's
routines are called where the WDK says so, so what needs them is :data:`~.requests.Steps`.
"""

from __future__ import annotations

import struct
from collections.abc import Generator
from typing import TYPE_CHECKING, Final

from .requests import Call, Request
from .trees import LEFT, RIGHT, AvlTree, SplayTree

if TYPE_CHECKING:
    from .kernel import Kernel

#: RTL_GENERIC_COMPARE_RESULTS and TABLE_SEARCH_RESULT (ntddk.h).
_LESS, _GREATER = 0, 1
EMPTY, FOUND, AS_LEFT, AS_RIGHT = 0, 1, 2, 3

#: Calls the driver's routines and ends with a number.
Number = Generator[Request, int, int]


class GenericTable:
    """What both kinds share; offsets are those of the table's fields."""

    #: CompareRoutine, AllocateRoutine, FreeRoutine, TableContext; NumberGenericTableElements;
    #: the size; what an element has before it.
    ROUTINES: int
    COUNT: int
    SIZE: int
    HEADER: int

    def __init__(self, k: Kernel, address: int) -> None:
        self.k = k
        self.memory = k.memory
        self.address = address

    # -- what differs -------------------------------------------------------------------------

    def root(self) -> int:
        raise NotImplementedError

    def clear(self) -> None:
        """Make the fresh table empty."""
        raise NotImplementedError

    def used(self, node: int) -> None:
        """An element was looked up or inserted."""

    def add(self, parent: int, side: int, node: int) -> None:
        """Take in a new node; ``parent`` is 0 in an empty table."""
        raise NotImplementedError

    def take(self, node: int) -> None:
        """Take a node out."""
        raise NotImplementedError

    def after(self, node: int) -> int:
        """The node behind ``node`` in order, the first for 0; 0 at the end."""
        raise NotImplementedError

    # -- what is the same -----------------------------------------------------------------------

    def initialize(self, *routines: int) -> None:
        """Begin with no elements; compare, allocate, free, context."""
        self.memory.write(self.address, bytes(self.SIZE))
        self.clear()
        self.memory.write(self.address + self.ROUTINES, struct.pack("<4Q", *routines))

    @property
    def count(self) -> int:
        """How many elements there are."""
        return self.memory.u32(self.address + self.COUNT)

    def _routine(self, index: int) -> int:
        return self.memory.u64(self.address + self.ROUTINES + 8 * index)

    def _count(self, change: int) -> None:
        self.memory.set_u32(self.address + self.COUNT, self.count + change)

    def compare(self, buffer: int, node: int) -> Number:
        """How the element in ``buffer`` compares to a node's."""
        call = Call(self._routine(0), (self.address, buffer, node + self.HEADER))
        return (yield call) & 0xFFFFFFFF

    def find(self, buffer: int) -> Generator[Request, int, tuple[int, int]]:
        """Where an element is or would be: the node or its parent, and a TABLE_SEARCH_RESULT."""
        node = self.root()
        if not node:
            return 0, EMPTY
        while True:
            order = yield from self.compare(buffer, node)
            if order not in (_LESS, _GREATER):
                return node, FOUND
            further = self.memory.u64(node + (LEFT if order == _LESS else RIGHT))
            if not further:
                return node, AS_LEFT if order == _LESS else AS_RIGHT
            node = further

    def lookup(self, buffer: int, node_at: int = 0, result_at: int = 0) -> Number:
        """The element that compares as equal, 0 for none; stores what :meth:`find` found."""
        node, result = yield from self.find(buffer)
        if node_at:
            self.memory.set_u64(node_at, node)
            self.memory.set_u32(result_at, result)
        if result != FOUND:
            return 0
        self.used(node)
        return node + self.HEADER

    def insert(
        self, buffer: int, size: int, new_at: int, found: tuple[int, int] | None = None
    ) -> Number:
        """The element, a copy of ``buffer`` where there was none; 0 without memory for it."""
        node, result = found or (yield from self.find(buffer))
        new = result != FOUND
        if new:
            parent = node
            node = yield Call(self._routine(1), (self.address, size + self.HEADER))
            if node:
                side = LEFT if result == AS_LEFT else RIGHT
                self.add(0 if result == EMPTY else parent, side, node)
                self._count(1)
                if size:
                    self.memory.write(node + self.HEADER, self.memory.read(buffer, size))
        if new_at:
            self.memory.write(new_at, bytes([new and node != 0]))
        if not node:
            return 0
        self.used(node)
        return node + self.HEADER

    def delete(self, buffer: int) -> Number:
        """Take an element out and free its node: whether there was one."""
        node, result = yield from self.find(buffer)
        if result != FOUND:
            return 0
        self.take(node)
        self._count(-1)
        yield Call(self._routine(2), (self.address, node))
        return 1

    def first_match(self, buffer: int) -> Number:
        """The leftmost node of those that compare as equal, 0 for none."""
        node, result = yield from self.find(buffer)
        if result != FOUND:
            return 0
        while before := self.before(node):
            if (yield from self.compare(buffer, before)) in (_LESS, _GREATER):
                break
            node = before
        return node

    def before(self, node: int) -> int:
        """The node before ``node`` in order, 0 at the start."""
        raise NotImplementedError

    def step(self, key_at: int) -> int:
        """The element behind the node that is kept at ``key_at``, which becomes that node."""
        node = self.after(self.memory.u64(key_at))
        if not node:
            return 0
        self.memory.set_u64(key_at, node)
        return node + self.HEADER


class SplayTable(GenericTable):
    """RTL_GENERIC_TABLE: TableRoot, InsertOrderList, OrderedPointer, WhichOrderedElement, …"""

    ROUTINES, COUNT, SIZE, HEADER = 0x28, 0x24, 0x48, 0x28
    _ORDER: Final = 8
    _ORDERED: Final = 0x18
    #: In a node: its LIST_ENTRY in the order of insertion.
    _ENTRY: Final = 0x18

    def root(self) -> int:
        return self.memory.u64(self.address)

    def clear(self) -> None:
        head = self.address + self._ORDER
        self.memory.write(head, struct.pack("<3Q", head, head, head))

    def used(self, node: int) -> None:
        self.memory.set_u64(self.address, SplayTree(self.memory).splay(node))

    def add(self, parent: int, side: int, node: int) -> None:
        memory, head = self.memory, self.address + self._ORDER
        last = memory.u64(head + 8)
        memory.write(node, struct.pack("<5Q", node, 0, 0, head, last))
        memory.set_u64(last, node + self._ENTRY)
        memory.set_u64(head + 8, node + self._ENTRY)
        if parent:
            SplayTree(memory).link(parent, side, node)

    def take(self, node: int) -> None:
        memory, entry = self.memory, node + self._ENTRY
        after, before = memory.u64(entry), memory.u64(entry + 8)
        memory.set_u64(before, after)
        memory.set_u64(after + 8, before)
        memory.set_u64(self.address, SplayTree(memory).delete(node))
        ordered = struct.pack("<QI", self.address + self._ORDER, 0)
        memory.write(self.address + self._ORDERED, ordered)

    def after(self, node: int) -> int:
        tree, root = SplayTree(self.memory), self.root()
        if not root:
            return 0
        return tree.neighbour(node, RIGHT) if node else tree.outermost(root, LEFT)

    def get(self, index: int) -> int:
        """The element that was inserted as number ``index``."""
        if index >= self.count:
            return 0
        entry = self.address + self._ORDER
        for _ in range(index + 1):
            entry = self.memory.u64(entry)
        return entry - self._ENTRY + self.HEADER


class AvlTable(GenericTable):
    """RTL_AVL_TABLE: BalancedRoot, OrderedPointer, …, DepthOfTree, RestartKey, DeleteCount, …"""

    ROUTINES, COUNT, SIZE, HEADER = 0x48, 0x2C, 0x68, 0x20
    _ORDERED: Final = 0x20
    _DEPTH: Final = 0x30
    RESTART: Final = 0x38
    _DELETED: Final = 0x40

    def _tree(self) -> AvlTree:
        return AvlTree(self.memory, self.address)

    def root(self) -> int:
        return self._tree().root

    def clear(self) -> None:
        self.memory.set_u64(self.address, self.address)

    def add(self, parent: int, side: int, node: int) -> None:
        tree = self._tree()
        tree.insert(parent or self.address, side if parent else RIGHT, node)
        self._reshaped(tree)

    def take(self, node: int) -> None:
        memory, tree = self.memory, self._tree()
        key = self.address + self.RESTART
        if memory.u64(key) == node:
            # An enumeration goes on behind what is not there any more.
            memory.set_u64(key, tree.next(node, LEFT))
        tree.remove(node)
        self._reshaped(tree)
        deleted = memory.u32(self.address + self._DELETED)
        memory.set_u32(self.address + self._DELETED, deleted + 1 & 0xFFFFFFFF)

    def _reshaped(self, tree: AvlTree) -> None:
        depth = self.memory.u32(self.address + self._DEPTH)
        self.memory.set_u32(self.address + self._DEPTH, depth + tree.deeper)
        self.memory.write(self.address + self._ORDERED, bytes(12))

    def after(self, node: int) -> int:
        tree = self._tree()
        if not tree.root:
            return 0
        return tree.next(node) if node else tree.outermost(tree.root, LEFT)

    def before(self, node: int) -> int:
        return self._tree().next(node, LEFT)

    def get(self, index: int) -> int:
        """The element that is number ``index`` in order."""
        if index >= self.count:
            return 0
        node = self.after(0)
        for _ in range(index):
            node = self.after(node)
        return node + self.HEADER
