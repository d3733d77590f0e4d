"""From a matplotlib figure to an SVG that stands inside a page."""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

#: Stands for the page's own text colour until the picture is text.
INK = "#010203"

#: Contrast of at least 3 with white and with the dark page, and apart for the colour-blind.
COLOURS = (
    "#3a7fd0", "#d4701c", "#2b9a62", "#a066d3", "#16939c", "#c8588f", "#8a7a2e", "#7b7f86",
)  # fmt: skip
ALARM = "#e0443e"

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "editsuite",
    "text.parse_math": False,  # a label with two dollar signs is no formula
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "path.simplify": False,
}


@contextmanager
def settings() -> Iterator[None]:
    """Context in which figures are made and written; nothing of it stays behind."""
    with mpl.rc_context(), warnings.catch_warnings():
        # Text stays text: the font here only measures it, the reader's browser has more.
        warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)
        mpl.rcdefaults()  # a matplotlibrc of the user's would change the bytes
        mpl.rcParams.update(_SETTINGS)
        yield


def svg_text(figure: Figure, name: str, title: str, description: str) -> str:
    """Write a figure as an ``<svg>`` element.

    It has no prolog, no metadata, no colours of a background, ids that no other picture of the
    page has, and a title and a description for those who do not see it.

    Args:
        figure: made without pyplot, inside ``settings``.
        name: letters, digits and hyphens; begins every id of the picture.
        title: one line, plain text.
        description: what the picture shows, plain text.
    """
    file = io.StringIO()
    FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None})  # type: ignore[no-untyped-call]
    svg = file.getvalue()
    svg = svg[svg.index("<svg ") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r"<style [^>]*>.*?</style>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = _with_own_ids(_small(svg), name)
    svg = re.sub(r"; font-family: [^;\"]*", "", svg).replace(INK, "currentColor")
    return _with_title(svg, name, title, description)


def _small(svg: str) -> str:
    """Leave out line ends, and the digits of coordinates that no screen shows."""

    def shorten(tag: re.Match[str]) -> str:
        return re.sub(r"(\.\d\d)\d+", r"\1", re.sub(r"\s+", " ", tag.group()))

    return re.sub(r">\s+<", "><", re.sub(r"<[^>]*>", shorten, svg))


def _with_own_ids(svg: str, name: str) -> str:
    """Keep the ids that something refers to, and put the picture's name before them."""
    used = {a or b for a, b in re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', svg)}
    svg = re.sub(r' id="([^"]*)"', lambda m: m.group() if m.group(1) in used else "", svg)
    return re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", svg)


def _with_title(svg: str, name: str, title: str, description: str) -> str:
    head, rest = svg.split(">", 1)
    words = (
        f'<title id="{name}-title">{html.escape(title)}</title>'
        f'<desc id="{name}-desc">{html.escape(description)}</desc>'
    )
    return f'{head} role="img" aria-labelledby="{name}-title {name}-desc">{words}{rest.strip()}'
