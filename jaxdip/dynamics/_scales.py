"""The problem's own scales, computed only if a default needs them."""

import functools

import equinox as eqx

from jaxdip._types import Array, Float
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Lipschitz, Problem, gradient_lipschitz, jacobian_sigma_min


class Scales:
    """L and μ of one problem at one start, each computed at most once and on demand."""

    def __init__(self, problem: Problem, generator: AbstractGenerator):
        """Remembers where to compute them."""
        self._at = (problem, generator)

    @functools.cached_property
    def lipschitz(self) -> Lipschitz:
        """L, the Lipschitz constant of ∇f, with what it rests on."""
        return _lipschitz(*self._at)

    @functools.cached_property
    def mu(self) -> Float[Array, ""]:
        """μ, the smallest non-zero singular value of A J_g(θ0)."""
        return _sigma_min(*self._at)


_lipschitz = eqx.filter_jit(gradient_lipschitz)
_sigma_min = eqx.filter_jit(jacobian_sigma_min)
