"""Heun's method for Itô equations with small noise."""

from typing import ClassVar

import diffrax as dfx
import jax


class SmallNoiseHeun(dfx.AbstractItoSolver):
    """y₁ = y₀ + G ΔB + (h/2)(a(y₀) + a(y₀ + G ΔB + h a(y₀))), for dy = a dt + G(y) dB.

    G is taken at y₀. For a diffusion of size ε the weak error is O(h² + ε²h), where
    Euler–Maruyama's is O(h) whatever ε: with ε² = γ and steps h in proportion to γ, a weak order 2
    in γ is kept.

    Reference: G. N. Milstein & M. V. Tretyakov, "Numerical methods in the weak sense for stochastic
    differential equations with small noise", SIAM J. Numer. Anal. 34 (1997), 2142–2167.
    """

    term_structure: ClassVar = dfx.MultiTerm[tuple[dfx.ODETerm, dfx.AbstractTerm]]
    interpolation_cls: ClassVar = dfx.LocalLinearInterpolation

    def order(self, terms):
        """2, for the drift alone."""
        return 2

    def strong_order(self, terms):
        """½ in general."""
        return 0.5

    def init(self, terms, t0, t1, y0, args):
        """Nothing to remember."""
        return None

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        """One step, without an error estimate."""
        drift, diffusion = terms.terms
        h, increment = drift.contr(t0, t1), diffusion.contr(t0, t1)
        first = drift.vf_prod(t0, y0, args, h)
        noise = diffusion.vf_prod(t0, y0, args, increment)
        predicted = jax.tree.map(lambda y, a, n: y + a + n, y0, first, noise)
        second = drift.vf_prod(t1, predicted, args, h)
        y1 = jax.tree.map(lambda y, a, b, n: y + 0.5 * (a + b) + n, y0, first, second, noise)
        return y1, None, {"y0": y0, "y1": y1}, None, dfx.RESULTS.successful

    def func(self, terms, t0, y0, args):
        """Drift and diffusion at y0."""
        return terms.vf(t0, y0, args)
