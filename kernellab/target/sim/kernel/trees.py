"""Binary trees in a driver's memory: RTL_SPLAY_LINKS and RTL_BALANCED_LINKS.

Nodes are named by their addresses. Both kinds begin with the addresses of parent, left and right
child. The root of a splay tree is its own parent; that of a balanced tree is the right child of
the header in the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..machine.memory import Memory

PARENT, LEFT, RIGHT = 0, 8, 16
#: Of balanced links, a CHAR: height of the right subtree less that of the left.
_BALANCE: Final = 24


class Tree:
    """What both kinds have in common."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.get = memory.u64
        self._set = memory.set_u64

    def parent(self, node: int) -> int:
        """The node above; a splay tree's root is its own."""
        return self.get(node + PARENT)

    def child(self, node: int, side: int) -> int:
        """The child at :data:`LEFT` or :data:`RIGHT`, 0 for none."""
        return self.get(node + side)

    def side(self, node: int) -> int:
        """Which child of its parent it is."""
        return LEFT if self.get(self.parent(node) + LEFT) == node else RIGHT

    def link(self, parent: int, side: int, node: int) -> None:
        """Make ``node`` (0 for none) the parent's child."""
        self._set(parent + side, node)
        if node:
            self._set(node + PARENT, parent)

    def outermost(self, node: int, side: int) -> int:
        """The leftmost or rightmost node of the tree at ``node``."""
        while further := self.get(node + side):
            node = further
        return node

    def neighbour(self, node: int, side: int, above: int = 0) -> int:
        """The next node in order, at ``side``; 0 at the end. ``above`` is the balanced header."""
        below = self.get(node + side)
        if below:
            return self.outermost(below, LEFT + RIGHT - side)
        while (parent := self.parent(node)) not in (node, above):
            if self.get(parent + side) != node:
                return parent
            node = parent
        return 0


class SplayTree(Tree):
    """RtlSplay and its kin."""

    def root(self, node: int) -> int:
        """The root of the tree that ``node`` is in."""
        while (parent := self.parent(node)) != node:
            node = parent
        return node

    def is_root(self, node: int) -> bool:
        return self.parent(node) == node

    def make_root(self, node: int) -> None:
        """Say that nothing is above ``node``."""
        self._set(node + PARENT, node)

    def _rotate(self, node: int) -> None:
        """Move ``node`` above its parent, keeping the order."""
        parent = self.parent(node)
        side = self.side(node)
        other = LEFT + RIGHT - side
        top = self.is_root(parent)
        above, place = self.parent(parent), 0 if top else self.side(parent)
        self.link(parent, side, self.child(node, other))
        self.link(node, other, parent)
        if top:
            self.make_root(node)
        else:
            self.link(above, place, node)

    def splay(self, node: int) -> int:
        """Make ``node`` the root by double rotations; gives it."""
        while not self.is_root(node):
            parent = self.parent(node)
            if not self.is_root(parent):
                self._rotate(parent if self.side(node) == self.side(parent) else node)
            self._rotate(node)
        return node

    def _replace(self, node: int, by: int) -> None:
        if self.is_root(node):
            if by:
                self.make_root(by)
        else:
            self.link(self.parent(node), self.side(node), by)

    def _exchange(self, node: int, lower: int) -> None:
        """Swap the places of ``node`` and ``lower``, the largest of its left subtree."""
        upper = (self.is_root(node), self.parent(node))
        side = 0 if upper[0] else self.side(node)
        left, right = self.child(node, LEFT), self.child(node, RIGHT)
        beyond, below = self.parent(lower), self.child(lower, LEFT)
        if left == lower:
            self.link(lower, LEFT, node)
        else:
            self.link(lower, LEFT, left)
            self.link(beyond, RIGHT, node)
        self.link(lower, RIGHT, right)
        self.link(node, LEFT, below)
        self.link(node, RIGHT, 0)
        if upper[0]:
            self.make_root(lower)
        else:
            self.link(upper[1], side, lower)

    def remove(self, node: int) -> tuple[int, int]:
        """Take ``node`` out; gives what was above it and what takes its place (0 for none)."""
        if self.child(node, LEFT) and self.child(node, RIGHT):
            self._exchange(node, self.outermost(self.child(node, LEFT), RIGHT))
        below = self.child(node, LEFT) or self.child(node, RIGHT)
        above = 0 if self.is_root(node) else self.parent(node)
        self._replace(node, below)
        return above, below

    def delete(self, node: int) -> int:
        """RtlDelete: take ``node`` out, splay its parent; gives the root."""
        above, below = self.remove(node)
        return self.splay(above) if above else below


class AvlTree(Tree):
    """A balanced tree below ``header``, the BalancedRoot of a table."""

    def __init__(self, memory: Memory, header: int) -> None:
        super().__init__(memory)
        self.header = header
        #: By how much the last change made the whole tree deeper.
        self.deeper = 0

    @property
    def root(self) -> int:
        return self.child(self.header, RIGHT)

    def balance(self, node: int) -> int:
        value = self._memory.read(node + _BALANCE, 1)[0]
        return value - 256 if value > 127 else value

    def _set_balance(self, node: int, value: int) -> None:
        self._memory.write(node + _BALANCE, bytes([value & 0xFF]))

    def next(self, node: int, side: int = RIGHT) -> int:
        """The node behind ``node``, or before it; 0 at the end."""
        return self.neighbour(node, side, self.header)

    def insert(self, parent: int, side: int, node: int) -> None:
        """Add ``node`` where nothing is yet."""
        self._memory.write(node, bytes(32))
        self.link(parent, side, node)
        self._grown(node)

    def remove(self, node: int) -> None:
        """Take ``node`` out."""
        if self.child(node, LEFT) and self.child(node, RIGHT):
            self._exchange(node, self.outermost(self.child(node, LEFT), RIGHT))
        below = self.child(node, LEFT) or self.child(node, RIGHT)
        above, side = self.parent(node), self.side(node)
        if above == self.header:
            side = RIGHT
        self.link(above, side, below)
        self._shrunk(above, side)

    def _exchange(self, node: int, lower: int) -> None:
        above, side = self.parent(node), self.side(node)
        if above == self.header:
            side = RIGHT
        left, right = self.child(node, LEFT), self.child(node, RIGHT)
        beyond, below = self.parent(lower), self.child(lower, LEFT)
        balance = self.balance(node)
        self._set_balance(node, self.balance(lower))
        self._set_balance(lower, balance)
        if left == lower:
            self.link(lower, LEFT, node)
        else:
            self.link(lower, LEFT, left)
            self.link(beyond, RIGHT, node)
        self.link(lower, RIGHT, right)
        self.link(node, LEFT, below)
        self.link(node, RIGHT, 0)
        self.link(above, side, lower)

    def _grown(self, node: int) -> None:
        """The subtree at ``node`` became one deeper: mend what is above."""
        self.deeper = 0
        while (parent := self.parent(node)) != self.header:
            step = 1 if self.side(node) == RIGHT else -1
            balance = self.balance(parent) + step
            self._set_balance(parent, balance)
            if balance == 0:
                return
            if abs(balance) == 2:
                self._mend(parent)
                return
            node = parent
        self.deeper = 1

    def _shrunk(self, node: int, side: int) -> None:
        """The subtree at ``side`` of ``node`` became less deep: mend what is above."""
        self.deeper = 0
        while node != self.header:
            balance = self.balance(node) + (-1 if side == RIGHT else 1)
            self._set_balance(node, balance)
            if abs(balance) == 1:
                return
            if abs(balance) == 2:
                node = self._mend(node)
                if self.balance(node):
                    return
            above = self.parent(node)
            side = RIGHT if above == self.header else self.side(node)
            node = above
        self.deeper = -1

    def _mend(self, node: int) -> int:
        """Rotate where the balance is 2 or -2; gives what is on top then."""
        heavy = RIGHT if self.balance(node) > 0 else LEFT
        sign = 1 if heavy == RIGHT else -1
        top = self.child(node, heavy)
        lean = self.balance(top) * sign
        if lean >= 0:
            self._rotate(top)
            self._set_balance(node, 0 if lean else sign)
            self._set_balance(top, 0 if lean else -sign)
            return top
        inner = self.child(top, LEFT + RIGHT - heavy)
        lean = self.balance(inner) * sign
        self._rotate(inner)
        self._rotate(inner)
        self._set_balance(node, -sign if lean > 0 else 0)
        self._set_balance(top, sign if lean < 0 else 0)
        self._set_balance(inner, 0)
        return inner

    def _rotate(self, node: int) -> None:
        parent = self.parent(node)
        side = self.side(node)
        above = self.parent(parent)
        place = RIGHT if above == self.header else self.side(parent)
        self.link(parent, side, self.child(node, LEFT + RIGHT - side))
        self.link(node, LEFT + RIGHT - side, parent)
        self.link(above, place, node)
