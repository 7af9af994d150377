"""Rust's linkage names as Rust writes them, without hashes.

Both manglings: the legacy one, and v0 (The rustc book, "v0 Symbol Format"). What is not such
a name, or is a damaged one, is returned as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_LEGACY_HASH: Final = re.compile(r"h[0-9a-f]{16}")
_LEGACY_ESCAPES: Final = {
    "SP": "@", "BP": "*", "RF": "&", "LT": "<", "GT": ">", "LP": "(", "RP": ")", "C": ",",
}  # fmt: skip
_LEGACY_ESCAPE: Final = re.compile(r"\$(SP|BP|RF|LT|GT|LP|RP|C|u[0-9a-f]{1,6})\$|\.\.")

_BASIC: Final = {
    "a": "i8", "b": "bool", "c": "char", "d": "f64", "e": "str", "f": "f32", "h": "u8",
    "i": "isize", "j": "usize", "l": "i32", "m": "u32", "n": "i128", "o": "u128", "s": "i16",
    "t": "u16", "u": "()", "v": "...", "x": "i64", "y": "u64", "z": "!", "p": "_",
}  # fmt: skip

#: Deepest nesting that is followed, and most characters that are written.
_DEPTH: Final = 200
_LENGTH: Final = 4096


def demangle(symbol: str) -> str:
    """``symbol`` as Rust writes that path, such as ``<hello::Module as KernelModule>::init``."""
    try:
        if symbol.startswith("_R"):
            return _V0(symbol[2:]).symbol()
        if symbol.startswith(("_ZN", "ZN")):
            return _legacy(symbol[symbol.index("N") + 1 :])
    except (ValueError, IndexError, KeyError, RecursionError):
        pass
    return symbol


def _legacy(text: str) -> str:
    parts: list[str] = []
    at = 0
    while text[at] != "E":
        number = re.compile(r"\d+").match(text, at)
        if number is None:
            raise ValueError(text)
        at = number.end() + int(number.group())
        parts.append(text[number.end() : at])
    if len(parts) > 1 and _LEGACY_HASH.fullmatch(parts[-1]):
        parts.pop()
    return "::".join(_LEGACY_ESCAPE.sub(_unescape, _trim(part)) for part in parts)


def _trim(part: str) -> str:
    # An identifier cannot begin with "$": an underscore was put before it.
    return part[1:] if part.startswith("_$") else part


def _unescape(match: re.Match[str]) -> str:
    name = match[1]
    if name is None:
        return "::"
    return _LEGACY_ESCAPES.get(name) or chr(int(name[1:], 16))


class _V0:
    """A parser over one v0 symbol; raises ValueError, IndexError or KeyError on damage."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.length = 0

    def symbol(self) -> str:
        if self.text[:1].isdigit():
            raise ValueError("a version that is not known")
        return self.path()

    def next(self) -> str:
        self.at += 1
        return self.text[self.at - 1]

    def eat(self, letter: str) -> bool:
        found = self.text[self.at : self.at + 1] == letter
        self.at += found
        return found

    def base62(self) -> int:
        if self.eat("_"):
            return 0
        value = 0
        while not self.eat("_"):
            digit = self.next()
            if not digit.isalnum() or not digit.isascii():
                raise ValueError("not base 62")
            value = value * 62 + (
                int(digit, 36) if not digit.isupper() else ord(digit) - ord("A") + 36
            )
        return value + 1

    def disambiguator(self) -> int:
        return self.base62() + 1 if self.eat("s") else 0

    def identifier(self) -> tuple[int, str]:
        disambiguator = self.disambiguator()
        return disambiguator, self.bare_identifier()

    def bare_identifier(self) -> str:
        unicode = self.eat("u")
        number = re.compile(r"0|[1-9]\d*").match(self.text, self.at)
        if number is None:
            raise ValueError("no length")
        self.at = number.end()
        self.eat("_")
        size = int(number.group())
        name = self.text[self.at : self.at + size]
        if len(name) != size:
            raise ValueError("cut short")
        self.at += size
        if unicode:
            head, _, tail = name.rpartition("_")
            name = (f"{head}-{tail}" if head else tail).encode().decode("punycode")
        return name

    def path(self, *, value: bool = True) -> str:
        self.depth += 1
        if self.depth > _DEPTH:
            raise ValueError("too deep")
        text = self._path(self.next(), value)
        self.length += len(text)
        if self.length > _LENGTH * 16 or len(text) > _LENGTH:
            raise ValueError("too long")
        self.depth -= 1
        return text

    def _path(self, tag: str, value: bool) -> str:
        if tag == "C":
            return self.identifier()[1]
        if tag in "MX":
            self.disambiguator()
            self.path()  # where the impl stands: not part of how Rust writes it
        if tag == "M":
            return f"<{self.type()}>"
        if tag in "XY":
            return f"<{self.type()} as {self.path(value=False)}>"
        if tag == "N":
            space = self.next()
            parent = self.path(value=value)
            disambiguator, name = self.identifier()
            if space.isupper():
                kind = {"C": "closure", "S": "shim"}.get(space, space)
                return f"{parent}::{{{kind}{':' + name if name else ''}#{disambiguator}}}"
            return f"{parent}::{name}" if name else parent
        if tag == "I":
            base = self.path(value=value)
            arguments = ", ".join(self.list_of(self.generic))
            return f"{base}{'::' if value else ''}<{arguments}>"
        if tag == "B":
            return self.back(lambda: self.path(value=value))
        raise ValueError(f"no path begins with {tag}")

    def list_of(self, item: Callable[[], str]) -> list[str]:
        found = []
        while not self.eat("E"):
            found.append(item())
        return found

    def back(self, read: Callable[[], str]) -> str:
        here = self.at - 1
        target = self.base62()
        if target >= here:
            raise ValueError("refers forward")
        kept, self.at = self.at, target
        text = read()
        self.at = kept
        return text

    def generic(self) -> str:
        if self.eat("L"):
            self.base62()
            return "'_"
        return self.constant() if self.eat("K") else self.type()

    def type(self) -> str:
        self.depth += 1
        if self.depth > _DEPTH:
            raise ValueError("too deep")
        text = self._type(self.next())
        self.depth -= 1
        return text

    def _type(self, tag: str) -> str:
        if tag in _BASIC:
            return _BASIC[tag]
        if tag == "A":
            element = self.type()
            return f"[{element}; {self.constant()}]"
        if tag == "S":
            return f"[{self.type()}]"
        if tag == "T":
            items = self.list_of(self.type)
            return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
        if tag in "RQ":
            if self.eat("L"):
                self.base62()
            return f"&{'mut ' if tag == 'Q' else ''}{self.type()}"
        if tag in "PO":
            return f"*{'const' if tag == 'P' else 'mut'} {self.type()}"
        if tag == "F":
            return self.function()
        if tag == "D":
            self.binder()
            bounds = " + ".join(self.list_of(self.bound))
            if self.eat("L"):
                self.base62()
            return f"dyn {bounds}"
        if tag == "B":
            return self.back(self.type)
        self.at -= 1
        return self.path(value=False)

    def binder(self) -> None:
        if self.eat("G"):
            self.base62()

    def function(self) -> str:
        self.binder()
        text = "unsafe " if self.eat("U") else ""
        if self.eat("K"):
            abi = "C" if self.eat("C") else self.bare_identifier().replace("_", "-")
            text += f'extern "{abi}" '
        text += f"fn({', '.join(self.list_of(self.type))})"
        result = self.type()
        return text if result == "()" else f"{text} -> {result}"

    def bound(self) -> str:
        text = self.path(value=False)
        while self.eat("p"):
            name = self.bare_identifier()
            value = f"{name} = {self.type()}"
            text = f"{text[:-1]}, {value}>" if text.endswith(">") else f"{text}<{value}>"
        return text

    def constant(self) -> str:
        tag = self.next()
        if tag == "p":
            return "_"
        if tag == "B":
            return self.back(self.constant)
        if tag not in "abchijlmnostxy":
            raise ValueError("a constant of a kind that is not known")
        sign = "-" if self.eat("n") else ""
        end = self.text.index("_", self.at)
        number = int(self.text[self.at : end] or "0", 16)
        self.at = end + 1
        if tag == "b":
            return "true" if number else "false"
        return repr(chr(number)) if tag == "c" else f"{sign}{number}"
