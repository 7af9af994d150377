"""Panels for where no style sheet comes along: exports, code hosts, the output of a magic.

A ``<style>`` element does not do there: what takes it away may leave its text behind (GitHub's
Markdown shows it as text), and JupyterLab removes it from a notebook that is not trusted. An
element's own ``style`` is kept, or goes without a trace.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from html import escape
from pathlib import Path
from typing import Final

#: A start or end tag of this package's own HTML, in which all text is escaped.
_TAG: Final = re.compile(r'<(/?)(\w+)((?:\s+[\w-]+(?:="[^"]*")?)*)\s*>')
_ATTRIBUTE: Final = re.compile(r'\s+([\w-]+)="([^"]*)"')
#: In Markdown, an empty line ends a block of HTML, and what follows is read as Markdown.
_EMPTY_LINE: Final = re.compile(r"^[ \t]*$", re.MULTILINE)
_VOID: Final = frozenset({"br", "hr", "img", "link"})

#: An element: its tag and its classes.
_Element = tuple[str, frozenset[str]]
#: A selector from its end: what each element must have, and whether it is the parent of the last.
_Selector = list[tuple[str, frozenset[str], bool]]


def standalone(html: str) -> str:
    """``html`` of panels, each element with the style that panels.css has for it.

    Safe inside Markdown: no line of it is empty.
    """
    open_: list[_Element] = [("div", frozenset({"kl-panels"}))]

    def styled(match: re.Match[str]) -> str:
        closing, tag, attributes = match.groups()
        if closing:
            if len(open_) > 1:
                open_.pop()
            return match[0]
        found = dict(_ATTRIBUTE.findall(attributes))
        classes = found.get("class", "").split()
        element = (tag, frozenset(classes))
        style = _style_of((*open_, element))
        if tag not in _VOID:
            open_.append(element)
        rest = " ".join(each for each in classes if not each.startswith("kl-"))
        if "class" in found:
            new = f' class="{rest}"' if rest else ""
            attributes = attributes.replace(f' class="{found["class"]}"', new)
        if style:
            own = found.get("style", "")
            attributes = attributes.replace(f' style="{own}"', "")
            attributes += f' style="{escape(style)}{";" if own else ""}{own}"'
        return f"<{tag}{attributes}>"

    return not_empty(_TAG.sub(styled, html))


def not_empty(html: str) -> str:
    """``html`` without empty lines, which looks the same."""
    return _EMPTY_LINE.sub("&#32;", html) if "\n" in html else html


@lru_cache(2048)
def _style_of(path: tuple[_Element, ...]) -> str:
    """The declarations of the last element of ``path``, later and more special rules last."""
    found = [(rank, style) for rank, selector, style in _rules() if _matches(selector, path)]
    return ";".join(style for _, style in sorted(found, key=lambda each: each[0]))


def _matches(selector: _Selector, path: tuple[_Element, ...]) -> bool:
    at = len(path)
    for number, (tag, classes, parent) in enumerate(selector):
        while at:
            at -= 1
            if (not tag or path[at][0] == tag) and classes <= path[at][1]:
                break
            if not number or parent:
                return False
        else:
            return False
    return True


@cache
def _rules() -> list[tuple[tuple[int, int, int], _Selector, str]]:
    """panels.css: of each selector its rank, itself, and its declarations."""
    text = (Path(__file__).parent / "static" / "panels.css").read_text(encoding="utf-8")
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    found = []
    for number, (selectors, style) in enumerate(re.findall(r"([^{}]+)\{([^{}]*)\}", text)):
        short = re.sub(r"\s*([;:,])\s*", r"\1", " ".join(style.split())).strip("; ")
        for selector in selectors.split(","):
            parts, parent = [], False
            for word in reversed(selector.split()):
                if word == ">":
                    parent = True
                    continue
                tag, *classes = word.split(".")
                parts.append((tag, frozenset(classes), parent))
                parent = False
            rank = sum(len(c) for _, c, _ in parts), sum(bool(t) for t, _, _ in parts), number
            found.append((rank, parts, short))
    return found
