"""Every operator of the catalogue obeys every law that it claims, in both precisions."""

import jax.numpy as jnp
import pytest
from operators.catalogue import LINEAR, NONLINEAR, make

from jaxdip import operators as ops

SINGLE = [
    "gaussian real to complex",
    "with spectrum complex",
    "blur periodic complex",
    "blur zero",
    "blur reflect",
    "mask",
    "scaled complex",
    "linearized phase retrieval",
    "callable module",
    "sum",
]


@pytest.mark.parametrize("name", [*LINEAR, *NONLINEAR])
def test_every_law_in_double_precision(name, key):
    report = ops.check_operator(make(name), key=key)
    assert report.ok, str(report)


@pytest.mark.parametrize("name", SINGLE)
def test_every_law_in_single_precision(name, key):
    operator = make(name, "float32")
    report = ops.check_operator(operator, key=key)
    assert report.ok, str(report)
    assert jnp.finfo(operator.out_structure.dtype).bits == 32


@pytest.mark.parametrize("name", LINEAR)
def test_linear_operators_are_known_to_be_linear(name):
    operator = make(name)
    assert isinstance(operator, ops.AbstractLinearOperator)
    point = jnp.zeros(operator.in_structure.shape, operator.in_structure.dtype)
    assert operator.linearize(point) is operator


@pytest.mark.parametrize("name", NONLINEAR)
def test_nonlinear_operators_do_not_claim_to_be_linear(name):
    assert not isinstance(make(name), ops.AbstractLinearOperator)
