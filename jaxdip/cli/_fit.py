"""Options of an optimiser, its penalties and its stopping rules."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

from jaxdip import stopping
from jaxdip.cli._forward import require
from jaxdip.cli._runtime import UsageError

#: Each rule; `oracle` needs the truth, `discrepancy` and `sure` the noise.
RULES = ("discrepancy", "wmv", "emv", "held-out", "sure", "plateau", "oracle")
#: The share of the data that held-out keeps out of the fit.
HELD_OUT = 0.1
#: Options that an optimiser has no use for, and why.
_VAIN = {
    "lbfgs": (("rate", "jitter", "clip"), "searches along a line at every step"),
    "lm": (("rate", "tv", "weight_decay", "clip"), "damps its own steps on the squared error"),
}


@dataclasses.dataclass(frozen=True)
class Fit:
    """Recovery by an optimiser, with stopping rules that watch one run side by side."""

    optimizer: Literal["gd", "igahd", "adam", "lbfgs", "lm"] | None = None
    """Train by this instead of following --dynamics; adam where a --generator asks for one. igahd
    takes --alpha and --beta; by default β = √s, and α = 1/(4√s) or, of a small two-layer network
    with real data, the smallest singular value of A J at the start if that is less."""
    rate: float | None = None
    """γ of gd, s of igahd, the learning rate of adam; by default 1/L, for adam 0.01."""
    stop: str | None = None
    """Rules to report, separated by commas: discrepancy, wmv and emv (variance of the outputs),
    held-out, sure, plateau, oracle; by default all that cost nothing. 'none' for none. held-out
    keeps 10 % of the data out of the fit, for all rules alike. Python has TheoremTime too, and
    rules joined by & and |."""
    act: str | None = None
    """The rules that end the run; by default discrepancy where it is among those of --stop and
    there is noise. 'none' for none."""
    patience: int = 1000
    """Steps without a better image after which wmv, emv, held-out and sure fire."""
    seeds: int = 1
    """How many starts to run; mean, spread and failures are reported."""
    average: float = 0.99
    """The weight of the past in the averaged image, in [0, 1[."""
    jitter: float = 0.0
    """Standard deviation of noise added to the latent at every step."""
    clip: float | None = None
    """The largest norm of the gradient."""
    tv: float = 0.0
    """The weight of the total variation."""
    weight_decay: float = 0.0
    """ω of the penalty ½ω‖θ‖²."""
    tile: int = 0
    """Recover tiles of so many pixels a side one after another, with networks of their own; for
    images whose network would not fit into memory. For --operator identity and mask. Images of the
    rules, curves and --seeds are for whole images."""
    overlap: int = 16
    """Pixels that neighbouring tiles share, where they are blended."""
    vectors: int = 0
    """Also draw so many leading left singular vectors of the Jacobian at the end, as images."""
    resume: bool = False
    """Go on from the checkpoint in --out."""

    def check(self) -> None:
        """Refuse numbers outside their ranges, naming the flag."""
        if self.rate is not None:
            require(0 < self.rate < math.inf, "--rate", self.rate, "> 0 and finite")
        if self.clip is not None:
            require(0 < self.clip < math.inf, "--clip", self.clip, "> 0 and finite")
        require(self.patience >= 1, "--patience", self.patience, "at least 1")
        require(self.seeds >= 1, "--seeds", self.seeds, "at least 1")
        require(0 <= self.average < 1, "--average", self.average, "in [0, 1[")
        for flag in ("jitter", "tv", "weight_decay"):
            value = getattr(self, flag)
            require(0 <= value < math.inf, f"--{flag.replace('_', '-')}", value, "at least 0")
        require(self.tile >= 0, "--tile", self.tile, "at least 0")
        require(self.overlap >= 0, "--overlap", self.overlap, "at least 0")
        require(self.vectors >= 0, "--vectors", self.vectors, "at least 0")
        if self.tile:
            require(2 * self.overlap < self.tile, "--overlap", self.overlap, "under half a --tile")
            for flag, on in (("seeds", self.seeds > 1), ("vectors", self.vectors > 0)):
                if on:
                    raise UsageError(f"--tile and --{flag} do not go together; leave one out")
        _names("--stop", self.stop)
        _names("--act", self.act)
        self._check_optimizer()

    def _check_optimizer(self) -> None:
        """Refuse what the optimiser would ignore."""
        flags, why = _VAIN.get(self.optimizer or "adam", ((), ""))
        for flag in flags:
            if getattr(self, flag):
                raise UsageError(
                    f"--{flag.replace('_', '-')} says nothing with --optimizer {self.optimizer}, "
                    f"which {why}; leave it out, or take --optimizer adam or gd"
                )

    @property
    def holds_out(self) -> bool:
        """Whether a part of the data takes no part in the fit."""
        named = [_names("--stop", self.stop), _names("--act", self.act)]
        return any("held-out" in (names or ()) for names in named)

    def rules(
        self, noise: float, noise_norm: float, tau: float, truth: bool
    ) -> tuple[Mapping[str, stopping.AbstractStopping], tuple[str, ...]]:
        """The rules by name, and the names of those that end the run.

        Args:
            noise: the standard deviation of the noise in each entry.
            noise_norm: its expected norm.
            tau: of the discrepancy principle.
            truth: whether the true image is known.

        Raises:
            UsageError: if a rule is named that lacks what it needs.
        """
        needs = {"discrepancy": noise > 0, "sure": noise > 0, "oracle": truth}
        free = tuple(n for n in ("discrepancy", "emv", "plateau", "oracle") if needs.get(n, True))
        shown = _names("--stop", self.stop)
        shown = free if shown is None else shown
        act = _names("--act", self.act)
        if act is None:
            act = ("discrepancy",) if noise > 0 and "discrepancy" in shown else ()
        wanted = tuple(dict.fromkeys([*shown, *act]))
        for name in wanted:
            if not needs.get(name, True):
                lack = "the true image, which is not known" if name == "oracle" else "--noise > 0"
                raise UsageError(f"the rule {name} needs {lack}; leave it out")
        made: dict[str, Any] = {
            "discrepancy": lambda: stopping.Discrepancy(noise_norm, tau),
            "wmv": lambda: stopping.WindowedVariance(patience=self.patience),
            "emv": lambda: stopping.ExponentialVariance(patience=self.patience),
            "held-out": lambda: stopping.HeldOut(HELD_OUT, patience=self.patience),
            "sure": lambda: stopping.Sure(noise, patience=self.patience),
            "plateau": lambda: stopping.Plateau(self.patience, 0.01),
            "oracle": stopping.Oracle,
        }
        return {name: made[name]() for name in wanted}, act


def _names(flag: str, text: str | None) -> tuple[str, ...] | None:
    """The rules named; None where nothing was said.

    Raises:
        UsageError: for a name that is none.
    """
    if text is None:
        return None
    words = [word.strip() for word in text.split(",") if word.strip()]
    if words == ["none"]:
        return ()
    for word in words:
        if word not in RULES:
            raise UsageError(f"{flag} {word}: expected some of {','.join(RULES)}, or none")
    return tuple(dict.fromkeys(words))
