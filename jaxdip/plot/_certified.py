"""A theorem's bound over the run that it speaks of."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from jaxdip.plot._curves import Curve, Panel, curves_plot
from jaxdip.plot._style import dynamics_style


@dataclasses.dataclass(frozen=True, eq=False)
class CertifiedRun:
    """A run beside its certificate.

    Attributes:
        dynamics: 'gf', 'gd', 'isehd', 'igahd' or another name.
        ts: the times, shape (T,).
        loss: observed, shape (T,).
        bound: the certificate's bound on the loss; NaN where it is not applicable.
        holds: the verdict.
        verdict: in words.
        ball: ‖θ − θ0‖/R along the run, or None.
        kept: σ(θ)/σ(θ0) along the run, or None.
    """

    dynamics: str
    ts: np.ndarray
    loss: np.ndarray
    bound: np.ndarray
    holds: bool
    verdict: str
    ball: np.ndarray | None = None
    kept: np.ndarray | None = None


def certified_plot(
    runs: Sequence[CertifiedRun], *, log_x: bool = False, caption: str = ""
) -> Figure:
    """Loss and bound of every run, and beside them what the theorem watches.

    Shaded is where the theorem does not speak of the run: all of it if its conditions fail at the
    start, else from the first record at which ‖θ − θ0‖ ≥ R or σ(θ) ≤ σ(θ0)/2.

    Args:
        runs: at least one.
        log_x: logarithmic time.
        caption: what ran.

    Returns:
        The figure: a row for each run.

    Raises:
        ValueError: if there is no run, or arrays disagree.
    """
    if not runs:
        raise ValueError("no runs to draw; pass at least one CertifiedRun")
    panels = []
    for run in runs:
        label = dynamics_style(run.dynamics)[0]
        shaded = _silent(run)
        curves = [
            Curve(run.dynamics, run.ts, run.loss),
            Curve(run.dynamics, run.ts, run.bound, label="bound", kind="bound"),
        ]
        title = f"{label}: {run.verdict.split(':')[0]}"
        panels.append(Panel(curves, y="loss f", title=title, log_x=log_x, shaded=shaded))
        watched = [
            Curve(name, run.ts, values)
            for name, values in (("‖θ − θ0‖/R", run.ball), ("σ(θ)/σ(θ0)", run.kept))
            if values is not None
        ]
        if watched:
            level = Curve("½", run.ts, np.full(len(run.ts), 0.5), kind="bound")
            panels.append(
                Panel([*watched, level], y="ratio", title="early warning", log_x=log_x,
                      shaded=shaded)
            )  # fmt: skip
    return curves_plot(panels, caption=caption)


def _silent(run: CertifiedRun) -> dict[str, tuple[float, float]]:
    ts = np.asarray(run.ts, float)
    if not run.holds:
        return {"conditions fail": (float(ts[0]), float(ts[-1]))}
    out = np.zeros(len(ts), bool)
    if run.ball is not None:
        out |= np.asarray(run.ball) >= 1
    if run.kept is not None:
        out |= np.asarray(run.kept) <= 0.5
    if not out.any():
        return {}
    return {"outside the theorem": (float(ts[np.argmax(out)]), float(ts[-1]))}
