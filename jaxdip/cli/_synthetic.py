"""Options of a synthetic problem: an operator, a signal, a network, all from one seed."""

import dataclasses
import math
from typing import Literal

import jax
import jax.numpy as jnp

import jaxdip as jd
from jaxdip._types import Array, Key
from jaxdip.cli._forward import require
from jaxdip.cli._network import Network


@dataclasses.dataclass(frozen=True)
class Synthetic:
    """The operator, the signal and the noise."""

    n: int = 5
    """The length of the signal."""
    m: int = 2
    """The number of measurements."""
    spectrum: Literal["gaussian", "normalized", "inverse-square", "even"] = "gaussian"
    """A: iid N(0, 1) or N(0, 1/m) entries; random bases with σ_i = 1/(1 + i²), i from 0, or from 1
    to 2."""
    signal: Literal["gaussian", "range"] = "gaussian"
    """x̄: iid N(0, 1), or the network's output at another start, which it can represent."""
    noise: float = 0.0
    """The standard deviation of the noise, in the units of y."""

    def check(self) -> None:
        """Refuse numbers outside their ranges, naming the flag."""
        for flag in ("n", "m"):
            require(getattr(self, flag) >= 1, f"--{flag}", getattr(self, flag), "at least 1")
        require(0 <= self.noise < math.inf, "--noise", self.noise, "at least 0 and finite")

    def build(self, network: Network, key: Key) -> tuple[jd.Problem, jd.TwoLayer, jd.Measurement]:
        """The problem, the network at its start, and the measurement."""
        operator = self._operator(jd.key_for(key, "operator"))
        generator, u = network.build((self.n,), key)
        if self.signal == "range":
            x = network.build((self.n,), jd.key_for(key, "signal"))[0](u)
        else:
            x = jax.random.normal(jd.key_for(key, "signal"), (self.n,))
        data = jd.measure(operator, x, noise=self.noise, key=jd.key_for(key, "noise"))
        loss = network.build_loss()
        return jd.Problem(u=u, operator=operator, loss=loss, y=data.y), generator, data

    def describe(self) -> str:
        """The operator and the noise in a few words."""
        return f"A {self.spectrum}, {self.m} × {self.n}, noise {self.noise:g}"

    def _operator(self, key: Key) -> jd.operators.AbstractLinearOperator:
        if self.spectrum in ("gaussian", "normalized"):
            return jd.operators.Gaussian(
                m=self.m, n=self.n, key=key, normalized=self.spectrum == "normalized"
            )
        return jd.operators.WithSpectrum(self._values(), m=self.m, n=self.n, key=key)

    def _values(self) -> Array:
        rank = min(self.m, self.n)
        if self.spectrum == "even":
            return jnp.linspace(1.0, 2.0, rank)
        return 1 / (1 + jnp.arange(float(rank)) ** 2)
