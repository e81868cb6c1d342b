"""Every operator of the catalogue obeys every law that it claims, in both precisions."""

import jax.numpy as jnp
import pytest
from operators.catalogue import LINEAR, NONLINEAR, make

from jaxdip import operators as ops

SINGLE = [
    "gaussian real to complex",
    "blur periodic complex",
    "blur reflect",
    "super resolution",
    "mri coils",
    "mri real coils",
    "radon",
    "linearized phase retrieval",
    "callable module",
    "coded diffraction real",
]


@pytest.mark.parametrize("name", [*LINEAR, *NONLINEAR])
def test_every_law_in_double_precision(name, key):
    operator = make(name)
    report = ops.check_operator(operator, key=key)
    assert report.ok, str(report)
    # A linear operator is known as one, and is its own derivative.
    assert isinstance(operator, ops.AbstractLinearOperator) == (name in LINEAR)
    point = jnp.zeros(operator.in_structure.shape, operator.in_structure.dtype)
    assert (operator.linearize(point) is operator) == (name in LINEAR)


@pytest.mark.parametrize("name", SINGLE)
def test_every_law_in_single_precision(name, key):
    operator = make(name, "float32")
    report = ops.check_operator(operator, key=key)
    assert report.ok, str(report)
    assert jnp.finfo(operator.out_structure.dtype).bits == 32
