"""How pictures look, and a figure of matplotlib as SVG that stands in a page.

Drawn for WIDTH units, about as many pixels as a phone has: text of 14 units stays legible there and in print. Text
stays text in the page's own fonts, whose widths are not known here; so nothing is placed by measuring text, and
whatever is long (legends, names of bars) has a line of its own.

Colours are those of Okabe and Ito (2008), which colour-blind people tell apart; dashes and marks tell them apart in
grey. Bars are dark or light, or hatched (FILLS, HATCHES).
"""

import contextlib
import hashlib
import html
import io
import re
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

    from fedrisk.report.picture import Picture

WIDTH = 460.0
"""Units of a picture's width."""

TEXT = 14.0
"""Units of text; 13 of what is less important."""

INK, FAINT, GRID = "#1c2733", "#566575", "#dde3e9"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#a3568c", "#5f5f5f")
DASHES = ("solid", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (3, 3)))
FILLS = ("#0072b2", "#f8dcc6", "#7fcdb5", "#ecd5e2", "#dcdcdc")
HATCHES = ("", "//", "", "\\\\", "xx")
MARKS = ("o", "s", "^", "D", "v")

CHINESE_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "SimHei",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Noto Sans CJK JP",
    "Droid Sans Fallback",
    "Arial Unicode MS",
)
"""Fonts with Chinese characters that matplotlib may find, best first."""


@dataclass(frozen=True)
class Plot:
    """A picture. svg: its element, to stand in HTML as it is. alt: what it shows, in words; the svg says it too."""

    svg: str
    alt: str


@dataclass(frozen=True)
class Drawn:
    """A figure of matplotlib with what it shows, in words."""

    figure: "Picture"
    alt: str

    def plot(self) -> Plot:
        """The same as SVG."""
        return figure_svg(self.figure, self.alt)


@cache
def fonts() -> tuple[str, ...]:
    """Font families of figures: matplotlib's own, and the first with Chinese characters that is here."""
    from matplotlib import font_manager

    there = {f.name for f in font_manager.fontManager.ttflist}
    return ("DejaVu Sans", *[name for name in CHINESE_FONTS if name in there][:1])


@contextlib.contextmanager
def style() -> Iterator[None]:
    """The style of figures that are made or written inside."""
    import matplotlib as mpl

    settings: dict[str, Any] = {
        "font.family": list(fonts()),
        "font.size": TEXT,
        "text.parse_math": False,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": FAINT,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "xtick.color": FAINT,
        "ytick.color": FAINT,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.labelsize": TEXT - 1,
        "ytick.labelsize": TEXT - 1,
        "lines.linewidth": 2.0,
        "svg.fonttype": "none",
        "svg.hashsalt": "fedrisk",
        "path.simplify": True,
    }
    with mpl.rc_context(cast(Any, settings)):
        yield


def canvas(height: float, *, left: float, below: float, above: float = 26.0) -> "tuple[Picture, Axes]":
    """A figure of WIDTH and a height, with one pair of axes that leaves these units free on its sides."""
    from fedrisk.report.picture import Picture

    figure = Picture(figsize=(WIDTH / 72, height / 72), dpi=144)
    box = (left / WIDTH, below / height, (WIDTH - left - 16) / WIDTH, (height - below - above) / height)
    return figure, figure.add_axes(box)


def named_axes(axes: "Axes", across: str, up: str) -> None:
    """What the axes are: under the lower one, and above the left one, where text needs not be turned."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    height = figure.get_figheight() * 72
    box = axes.get_position()
    figure.text(box.x0 + box.width / 2, box.y0 - 38 / height, across, ha="center", va="center")
    figure.text(10 / WIDTH, 1 - 14 / height, up, ha="left", va="center")


def legend(axes: "Axes", handles: Sequence[Any], labels: Sequence[str], at: float | None = None) -> None:
    """A legend at the bottom of the figure, one entry a line. at: units from the left; about where the axes begin."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.legend(
        list(handles),
        list(labels),
        loc="lower left",
        bbox_to_anchor=(
            (axes.get_position().x0 * WIDTH - 8 if at is None else at) / WIDTH,
            2 / (figure.get_figheight() * 72),
        ),
        frameon=False,
        borderaxespad=0,
        borderpad=0,
        labelspacing=0.35,
        handlelength=2.4,
        ncols=1,
    )


def readable_scale(axis: "Axis", values: Sequence[float]) -> None:
    """Great numbers of a scale as 200 k or 2 M, which need no power of ten beside it."""
    from matplotlib.ticker import EngFormatter

    if max((abs(v) for v in values), default=0.0) >= GREAT:
        axis.set_major_formatter(EngFormatter())


GREAT = 100_000.0
"""From here on numbers of a scale are in thousands or millions."""

LEGEND_LINE = 20.0
"""Units that a line of a legend takes."""


def room_below(entries: int) -> float:
    """Units under the axes for ticks, their name and a legend of so many lines."""
    return 52.0 + LEGEND_LINE * entries


def width_of(text: str, size: float = TEXT) -> float:
    """About how wide a text is in any usual font, in units; rather too wide than too narrow.

    >>> width_of("违约率") == 3 * TEXT
    True
    """
    wide = sum(
        1.0 if unicodedata.east_asian_width(c) in "WF" else 0.74 if c.isupper() else 0.62 for c in text
    )
    return wide * size


def shortened(text: str, units: float, size: float = TEXT) -> str:
    """The text, cut off with an ellipsis where it is wider than so many units."""
    if width_of(text, size) <= units:
        return text
    while text and width_of(text + "…", size) > units:
        text = text[:-1]
    return text.rstrip() + "…"


def figure_svg(figure: "Figure", alt: str) -> Plot:
    """A figure of matplotlib as SVG in HTML: no fonts, no dates, no styles of the page, and ids of its own."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    out = io.StringIO()
    with style(), warnings.catch_warnings():
        # Text is drawn by the page's fonts, not by matplotlib's.
        warnings.filterwarnings("ignore", message="Glyph")
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        FigureCanvasSVG(figure).print_svg(out, metadata=nothing)  # type: ignore[no-untyped-call]
    return Plot(_embedded(out.getvalue(), alt, figure.get_figwidth() * 72, figure.get_figheight() * 72), alt)


def _embedded(svg: str, alt: str, width: float, height: float) -> str:
    body = svg[svg.index(">", svg.index("<svg")) + 1 : svg.rindex("</svg>")]
    body = re.sub(r"<style.*?</style>|<!--.*?-->|<metadata.*?</metadata>", "", body, flags=re.S)
    body = body.replace("xlink:href", "href")
    # The page's own fonts.
    body = re.sub(r" ?font-family: [^;\"]*;?", "", body)
    body = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", body)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda m: m.group(0) if m.group(1) in used else "", body)
    own = "p" + hashlib.sha256(f"{alt}|{body}".encode()).hexdigest()[:8]
    body = re.sub(r'((?:url\(#|href="#| id="))', rf"\g<1>{own}", body)
    body = re.sub(r"\s*\n\s*", "\n", body)
    body = re.sub(r"<defs>\s*</defs>|<g>\s*</g>", "", body).strip()
    said = html.escape(alt)
    look = f"width:100%;max-width:{width:.0f}px;height:auto;stroke-linejoin:round"
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{said}" style="{look}">'
        f"<title>{said}</title>{body}</svg>"
    )
