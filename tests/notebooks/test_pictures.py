"""The drawings of lessons: well-formed, readable on any page, with words for what they show."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from kernellab.course.pictures import INK, Picture, bits, chain, sequence, strip


@pytest.mark.parametrize(
    ("picture", "alt"),
    [
        (chain([("<a>", "one"), ("b", "two")], above=["to"]), "<a> → b"),
        (
            sequence(["a", "b"], [("a", "b", "ask"), ("b", "b", "think"), ("b", "a", "answer")]),
            "a → b: ask; b: think; b → a: answer",
        ),
        (bits(0x12, [("high", 7, 4), ("low", 3, 0)], width=8), "0x12: high (bits 7 to 4) 0x1, low"),
        (strip([(4, "<3>"), (3, "one")], [(0, "0"), (7, "end")]), "<3> (4 bytes), one (3 bytes)"),
    ],
)
def test_a_drawing(picture: Picture, alt: str) -> None:
    assert alt in repr(picture)
    assert "{" not in picture.svg
    root = ET.fromstring(picture._repr_svg_())
    title = next(each for each in root if each.tag.endswith("title"))
    assert alt in str(title.text)
    texts = [each for each in root.iter() if each.tag.endswith("text")]
    assert texts
    assert {each.attrib["fill"] for each in texts} == {INK}
