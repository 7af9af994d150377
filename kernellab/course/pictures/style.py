"""What all pictures share: colours, the parts of a drawing, matplotlib's style.

They read well on light and on dark pages, and are the same in every run.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Text and lines: readable on white and on black. JupyterLab shows SVG as an image, in which
#: ``currentColor`` is always black.
INK: Final = "#767676"
#: Series of a plot, told apart also without seeing colours well.
COLOURS: Final = ("#2f7fd1", "#d9730d", "#2e9e6b", "#b052c0", "#c0392b")


class Picture:
    """An SVG picture, which a notebook shows. ``alt`` says in words what is to be seen."""

    def __init__(self, svg: str, alt: str = "") -> None:
        self.svg = svg
        self.alt = alt

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return self.alt or "<Picture>"


def plot_style() -> None:
    """Have matplotlib draw for both themes, and the same in every run."""
    import matplotlib as mpl
    from cycler import cycler

    colours = dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK
    )
    settings: Any = {
        **colours,
        "axes.facecolor": "none",
        "axes.grid": True,
        "axes.prop_cycle": cycler(color=COLOURS),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "figure.dpi": 72,
        "figure.facecolor": "none",
        "figure.figsize": (8, 3.2),
        "font.size": 11,
        "grid.alpha": 0.25,
        "grid.color": INK,
        "legend.frameon": False,
        "savefig.facecolor": "none",
        "svg.fonttype": "none",
        "svg.hashsalt": "kernellab",
    }
    mpl.rcParams.update(settings)


def picture(figure: Figure, title: str) -> Picture:
    """``figure`` as a picture; ``title`` says in words what it shows. The figure is closed."""
    import matplotlib.pyplot as plt

    out = io.StringIO()
    figure.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    svg = out.getvalue()
    head, found, rest = svg[svg.index("<svg") :].partition(">")
    return Picture(f"{head}{found}<title>{escape(title)}</title>{rest}", title)


def label(
    x: float,
    y: float,
    words: str,
    *,
    size: int = 13,
    anchor: str = "middle",
    mono: bool = False,
    bold: bool = False,
    colour: str = INK,
) -> str:
    """Words in a drawing; ``x`` and ``y`` in pixels are those of the anchor on the base line."""
    family = "monospace" if mono else "sans-serif"
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"'
        f'{weight} fill="{colour}" font-family="{family}">{escape(words)}</text>'
    )


def drawn(width: float, height: float, parts: Sequence[str], alt: str) -> Picture:
    """A drawing of so many pixels, made of SVG elements; ``alt`` says in words what it shows."""
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img"'
        f' viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
        f"><title>{escape(alt)}</title>" + "".join(parts) + "</svg>"
    )
    return Picture(svg, alt)
