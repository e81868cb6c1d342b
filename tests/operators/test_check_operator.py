"""The check finds what is broken, and names it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from operators.catalogue import ASYMMETRIC, blur, gaussian

from jaxdip import operators as ops


class Broken(ops.AbstractLinearOperator):
    """A good operator with one of its methods replaced."""

    good: ops.AbstractLinearOperator
    changes: dict
    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)

    def __init__(self, good, **changes):
        self.good = good
        self.changes = {name: jax.tree_util.Partial(change) for name, change in changes.items()}
        self.in_structure = good.in_structure

    def _get(self, name):
        return self.changes[name] if name in self.changes else getattr(self.good, name)

    def __call__(self, x):
        return self.changes["apply"](x) if "apply" in self.changes else self.good(x)

    def adjoint(self, y):
        return self._get("adjoint")(y)

    def pseudo_inverse(self, y):
        return self._get("pseudo_inverse")(y)

    def matrix(self):
        return self._get("matrix")()

    def singular_values(self):
        return self._get("singular_values")()

    def norm(self):
        return self._get("norm")()

    def sigma_min(self):
        return self._get("sigma_min")()

    def rank(self):
        return self._get("rank")()

    @property
    def complex_linear(self):
        return self.good.complex_linear

    @property
    def orthonormal_rows(self):
        return "orthonormal_rows" in self.changes or self.good.orthonormal_rows


def failures(operator, key):
    return set(ops.check_operator(operator, key=key).failed)


ADJOINT = {"adjoint (inner products)", "adjoint (reverse mode)"}


def test_wrapping_alone_breaks_nothing(key):
    assert failures(Broken(gaussian("float64")), key) == set()


def test_a_correlation_taken_for_a_convolution(key):
    good = blur(ASYMMETRIC, (5, 6), "float64", "periodic")
    assert failures(Broken(good, adjoint=good), key) == ADJOINT


def test_an_adjoint_wrong_at_the_border_only(key):
    good = blur(ASYMMETRIC, (8, 9), "float64", "reflect")
    zero = blur(ASYMMETRIC, (8, 9), "float64", "zero")
    assert failures(Broken(good, adjoint=zero.adjoint), key) == ADJOINT


def test_a_transpose_without_conjugation(key):
    good = gaussian("complex128")
    broken = Broken(good, adjoint=lambda y: good.adjoint(y.conj()).conj())
    assert failures(broken, key) == ADJOINT


def test_an_adjoint_scaled_by_a_hair(key):
    good = gaussian("float64")
    assert failures(Broken(good, adjoint=lambda y: (1 + 1e-9) * good.adjoint(y)), key) == ADJOINT


def test_an_error_that_cancels_in_the_mean(key):
    # The error Re⟨x, S y⟩ of an adjoint with an added map S has mean zero over random draws.
    good = gaussian("float64")
    swap = jnp.zeros((6, 4)).at[0, 0].set(1e-6).at[1, 1].set(-1e-6)
    broken = Broken(good, adjoint=lambda y: good.adjoint(y) + swap @ y)
    assert failures(broken, key) == ADJOINT


def test_an_adjoint_to_complex_signals_where_they_are_real(key):
    good = gaussian("complex128", m=2, n=5, in_dtype="float64")
    broken = Broken(good, adjoint=lambda y: good.values.conj().T @ y)
    assert failures(broken, key) == {"shapes and dtypes"}


def test_an_adjoint_of_another_shape(key):
    good = ops.Dense(jnp.eye(4), in_shape=(2, 2))
    assert failures(Broken(good, adjoint=lambda y: y), key) == {"shapes and dtypes"}


def test_a_constant_added(key):
    good = gaussian("float64")
    assert "linearity" in failures(Broken(good, apply=lambda x: good(x) + 1.0), key)


def test_a_conjugation_claimed_to_be_complex_linear(key):
    good = gaussian("complex128")
    assert "linearity" in failures(Broken(good, apply=lambda x: good(x.conj())), key)


@pytest.mark.parametrize("claim", ["norm", "sigma_min", "singular_values"])
def test_a_square_in_place_of_a_norm(claim, key):
    good = gaussian("float64")
    squared = Broken(good, **{claim: lambda: getattr(good, claim)() ** 2})
    assert failures(squared, key) == {claim if claim == "sigma_min" else claim.replace("_", " ")}


def test_a_squared_norm_of_an_operator_too_large_to_decompose(key):
    good = 1.5 * ops.Identity(2001)
    assert failures(Broken(good, norm=lambda: good.norm() ** 2), key) == {"norm (power iteration)"}


def test_the_complex_singular_values_of_a_map_from_real_signals(key):
    # Not those of M, as the signals are real: of [Re M; Im M].
    good = gaussian("complex128", m=2, n=5, in_dtype="float64")
    complex_values = jnp.linalg.svd(good.values, compute_uv=False)
    assert failures(Broken(good, singular_values=lambda: complex_values), key) == {
        "singular values"
    }


def test_zero_taken_for_the_smallest_non_zero_singular_value(key):
    good = ops.WithSpectrum([2.0, 1.0, 0.0], m=3, n=3, key=jax.random.key(1))
    broken = Broken(good, sigma_min=lambda: jnp.asarray(0.0))
    assert failures(broken, key) == {"sigma_min"}


def test_an_adjoint_taken_for_the_pseudo_inverse(key):
    good = gaussian("float64")
    assert failures(Broken(good, pseudo_inverse=good.adjoint), key) == {"pseudo-inverse"}


def test_a_right_inverse_that_is_not_of_minimum_norm(key):
    # It satisfies three of Penrose's four conditions.
    good = gaussian("float64")
    inverse = jnp.linalg.inv(good.values[:, :4])
    broken = Broken(good, pseudo_inverse=lambda y: jnp.pad(inverse @ y, (0, 2)))
    assert failures(broken, key) == {"pseudo-inverse"}


def test_rows_that_are_not_orthonormal(key):
    assert failures(Broken(gaussian("float64"), orthonormal_rows=bool), key) == {"orthonormal rows"}


def test_an_operator_that_is_another_one_when_traced(key):
    good = gaussian("float64")

    def changing(x):
        return good(x) if isinstance(x, jax.core.Tracer) else 1.001 * good(x)

    assert failures(Broken(good, apply=changing), key) == {"jit"}


def test_an_operator_that_mixes_a_batch(key):
    good = gaussian("float64")

    @jax.custom_batching.custom_vmap
    def mixing(x):
        return x

    @mixing.def_vmap
    def _(size, batched, x):
        return x[::-1], True

    identity = jax.custom_jvp(mixing)
    identity.defjvp(lambda primals, tangents: (primals[0], tangents[0]))
    assert failures(Broken(good, apply=lambda x: good(identity(x))), key) == {"vmap"}


class WrongDerivative(ops.AbstractOperator):
    """x², whose derivative forgets the 2."""

    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)

    def __call__(self, x):
        return x**2

    def linearize(self, x):
        return ops.Dense(jnp.diag(x))


def test_a_wrong_derivative(key):
    broken = WrongDerivative(jax.ShapeDtypeStruct((4,), np.dtype("float64")))
    assert failures(broken, key) == {"derivative (differences)", "adjoint (reverse mode)"}


def test_not_a_number_is_a_failure(key):
    good = gaussian("float64")
    assert "norm" in failures(Broken(good, norm=lambda: jnp.asarray(jnp.nan)), key)


def test_the_report_is_a_table(key):
    good = gaussian("float64")
    text = str(ops.check_operator(Broken(good, norm=lambda: 2 * good.norm()), key=key))
    lines = text.splitlines()
    assert lines[0] == "Broken: FAILED"
    assert [line.split()[0] for line in lines if line.endswith("FAILED")] == ["Broken:", "norm"]
    assert str(ops.check_operator(good, key=key)).startswith("Gaussian: ok")
