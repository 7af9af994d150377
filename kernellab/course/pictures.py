"""Pictures of lessons: SVG that reads well on light and on dark pages, the same in every run."""

from __future__ import annotations

import io
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
