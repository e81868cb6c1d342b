"""The problem's own scales, computed only if a default needs them."""

import functools
import math

import equinox as eqx

from jaxdip._evidence import Quantity
from jaxdip._tree import is_concrete
from jaxdip._types import Array, Float
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Problem, gradient_lipschitz, jacobian_sigma_min


class Scales:
    """L and μ of one problem at one start, each computed at most once and on demand."""

    def __init__(self, problem: Problem, generator: AbstractGenerator):
        """Remembers where to compute them."""
        self._at = (problem, generator)

    @functools.cached_property
    def lipschitz(self) -> Quantity:
        """L, the Lipschitz constant of ∇f, with what it rests on."""
        L = _lipschitz(*self._at)
        if is_concrete(L.value) and not float(L.value) > 0:
            raise ValueError(
                f"the default step 1/L needs L > 0, got L = {float(L.value):g}: the gradient does "
                "not change at the start; check operator, latent and generator, or give a step"
            )
        return L

    @functools.cached_property
    def mu(self) -> Float[Array, ""]:
        """μ, the smallest non-zero singular value of A J_g(θ0)."""
        mu = _sigma_min(*self._at)
        if is_concrete(mu) and not math.isfinite(float(mu)):
            raise ValueError(
                "the default damping needs A J, which is zero at the start: nothing can be "
                "learned from there; check operator, latent and generator, or give alpha"
            )
        return mu


_lipschitz = eqx.filter_jit(gradient_lipschitz)
_sigma_min = eqx.filter_jit(jacobian_sigma_min)
