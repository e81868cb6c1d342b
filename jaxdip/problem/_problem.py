"""The inverse problem: what the dynamics minimises over θ."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._tree import is_concrete
from jaxdip._types import Array, Tree
from jaxdip.generators import AbstractGenerator
from jaxdip.losses import AbstractLoss
from jaxdip.operators import AbstractOperator


class Problem(eqx.Module):
    """Recover x̄ from y = F(x̄) + ε by driving θ on f(θ) = L_y(F(g(u, θ))).

    Everything but θ: the latent u, the operator F, the loss L and the data y. A problem is a
    pytree, so `jax.vmap` runs over its data, latents and operators.

    Attributes:
        u: the latent, real: shape (d,) for dense networks, (channels, *grid) for decoders.
        operator: F.
        loss: L.
        y: the data, of the operator's output shape.
    """

    u: Array
    operator: AbstractOperator
    loss: AbstractLoss
    y: Array

    def __init__(self, *, u: Array, operator: AbstractOperator, loss: AbstractLoss, y: Array):
        """States the problem and checks that its parts fit.

        Raises:
            TypeError: if operator or loss is not one, or complex data meets a real operator or a
                real loss.
            ValueError: if shapes disagree, u is zero or not finite, or the data has NaN or lies
                outside the loss's domain.
        """
        if not isinstance(operator, AbstractOperator):
            raise TypeError(
                f"operator is a jaxdip operator, got {type(operator).__name__}; wrap a function of "
                "your own as jaxdip.operators.Callable(function, in_shape)"
            )
        if not isinstance(loss, AbstractLoss):
            raise TypeError(
                f"loss is a jaxdip loss, got {type(loss).__name__}; for example jaxdip.losses.MSE()"
            )
        self.u, self.operator, self.loss, self.y = jnp.asarray(u), operator, loss, jnp.asarray(y)
        self._check_shapes()
        if is_concrete(self.u, self.y):
            self._check_values()

    def _check_shapes(self):
        out = self.operator.out_structure
        if self.y.shape != out.shape:
            raise ValueError(
                f"the operator makes observations of shape {out.shape}, but y has {self.y.shape}"
            )
        if _is_complex(self.y) and not _is_complex(out):
            raise TypeError(
                f"the data y are complex, but the operator makes real observations ({out.dtype}); "
                "build the operator for complex signals, or give y.real or its magnitude"
            )
        if self.u.ndim == 0:
            raise ValueError("the latent u is a vector, or channels on a grid, got one number")
        if jnp.issubdtype(self.u.dtype, jnp.complexfloating):
            raise TypeError("the latent u is real, got a complex one")
        for what, one in (("the data y are", self.y), ("the operator is", out)):
            if _is_complex(one) and not self.loss.takes_complex:
                raise TypeError(
                    f"{what} complex, but {type(self.loss).__name__} takes real predictions only; "
                    "use jaxdip.losses.MSE(), or an operator with real output"
                )

    def _check_values(self):
        # NumPy, because even concrete arrays become tracers in jnp under jit.
        u, y = np.asarray(self.u), np.asarray(self.y)
        if not np.all(np.isfinite(u)) or not np.any(u != 0):
            raise ValueError("the latent u must be finite and not zero; draw it by on_sphere(d)")
        bad = int(np.sum(~np.isfinite(y)))
        if bad:
            raise ValueError(
                f"y has {bad} entries that are NaN or infinite out of {self.y.size}; mask them out "
                "with jaxdip.operators.Mask, or mend the data"
            )
        self.loss.check_data(self.y)

    def signal(self, generator: AbstractGenerator) -> Array:
        """The signal x = g(u, θ)."""
        return generator(self.u)

    def predict(self, generator: AbstractGenerator) -> Array:
        """The prediction F(g(u, θ)), of the data's shape."""
        return self.operator(generator(self.u))

    def objective(self, generator: AbstractGenerator) -> Array:
        """The loss f(θ) = L_y(F(g(u, θ))), a real scalar."""
        return self.loss(self.predict(generator), self.y)


def _is_complex(x: Array | jax.ShapeDtypeStruct) -> bool:
    return jnp.issubdtype(x.dtype, jnp.complexfloating)


def check_generator(problem: Problem, generator: AbstractGenerator) -> None:
    """Says what is wrong if a generator does not fit a problem.

    Raises:
        TypeError: if it is not a generator.
        ValueError: if the latent or the signal has another shape than the problem's.
    """
    if not isinstance(generator, AbstractGenerator):
        raise TypeError(
            f"generator is a jaxdip generator, got {type(generator).__name__}; for example "
            "jaxdip.TwoLayer(latent=..., width=..., out=..., key=...)"
        )
    made = jax.eval_shape(generator, problem.u)
    wanted = problem.operator.in_structure
    if _is_complex(wanted) and not _is_complex(made):
        raise TypeError(
            f"the generator makes real signals ({made.dtype}), but the operator takes complex ones "
            f"({wanted.dtype}); make a convolutional generator with complex=True, or build the "
            "operator for real signals (dtype=float)"
        )
    if made.dtype != wanted.dtype:
        raise TypeError(
            f"the generator makes {made.dtype} signals from a {problem.u.dtype} latent, the "
            f"operator takes {wanted.dtype}; give the latent, the generator and the operator one "
            "dtype="
        )
    if made.shape != wanted.shape:
        raise ValueError(
            f"the generator makes signals of shape {made.shape}, the operator takes "
            f"{wanted.shape}; set the generator's out={wanted.shape}"
        )


class Parameters(eqx.Module):
    """f as a function of θ alone: the problem with the generator's untrained rest filled in.

    θ is the generator's pytree with None at every leaf that does not train.
    """

    problem: Problem
    rest: Tree

    def generator(self, theta: Tree) -> AbstractGenerator:
        """The generator with parameters θ."""
        return eqx.combine(theta, self.rest)

    def predict(self, theta: Tree) -> Array:
        """F(g(u, θ))."""
        return self.problem.predict(self.generator(theta))

    def __call__(self, theta: Tree) -> Array:
        """f(θ)."""
        return self.problem.objective(self.generator(theta))

    def gradient(self, theta: Tree) -> Tree:
        """∇f(θ)."""
        return jax.grad(self.__call__)(theta)


def parametrize(problem: Problem, generator: AbstractGenerator) -> tuple[Parameters, Tree]:
    """f as a function of θ, and the generator's own θ."""
    theta, rest = eqx.partition(generator, generator.trainable())
    return Parameters(problem, rest), theta
