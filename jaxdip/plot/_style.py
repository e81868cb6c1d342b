"""One colour and one line style per dynamics, the same in every figure."""

import textwrap
from typing import Literal, TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure

Dash: TypeAlias = Literal["-", "--", "-."]

# The palette of Okabe and Ito (2008), distinguishable with every common colour blindness.
_BLUE, _VERMILION, _GREEN, _ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
_PURPLE, _SKY, _GRAY = "#CC79A7", "#56B4E9", "#595959"

# A flow and its discretisation share the warm or cold pair, and differ in dash and darkness.
_KNOWN: dict[str, tuple[str, str, Dash]] = {
    "gf": ("gradient flow", _BLUE, "-"),
    "gd": ("gradient descent", _SKY, "--"),
    "isehd": ("ISEHD flow", _VERMILION, "-"),
    "igahd": ("IGAHD", _ORANGE, "--"),
}
_OTHERS = (_GREEN, _PURPLE, _GRAY)

SMALL, NORMAL, LARGE = 7.5, 9.0, 10.0
REFERENCE = _GRAY


def dynamics_style(name: str, index: int = 0) -> tuple[str, str, Dash]:
    """How a dynamics is written and drawn: its label, colour and line style.

    Flows are solid and discrete dynamics dashed.

    Args:
        name: 'gf', 'gd', 'isehd', 'igahd' or any other name.
        index: which of the remaining colours another name gets.

    Returns:
        (label, colour, line style), for matplotlib.
    """
    if name in _KNOWN:
        return _KNOWN[name]
    return name, _OTHERS[index % len(_OTHERS)], "-."


def is_dynamics(name: str) -> bool:
    """Whether a name has a style of its own."""
    return name in _KNOWN


def finish_axes(axes: Axes, *, x: str, y: str, title: str = "") -> None:
    """Labels, a quiet grid and no box."""
    axes.set_xlabel(x, fontsize=NORMAL)
    axes.set_ylabel(y, fontsize=NORMAL)
    axes.set_title(title, fontsize=LARGE)
    axes.tick_params(which="both", labelsize=SMALL)
    axes.grid(visible=True, which="major", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def broken(caption: str, width: float) -> str:
    """The caption in lines that fit a width in inches."""
    # A character of this font is a little more than half as wide as it is high.
    characters = int(0.97 * width * 72 / (0.55 * SMALL))
    return "\n".join(textwrap.fill(line, characters) for line in caption.splitlines())


def add_caption(figure: Figure, caption: str) -> None:
    """The caption under the figure, broken to its width."""
    if not caption:
        return
    # Dollar signs in a caption are a user's text, not mathematics.
    figure.supxlabel(
        broken(caption, figure.get_figwidth()),
        x=0.01,
        ha="left",
        fontsize=SMALL,
        color="#333333",
        parse_math=False,
    )
