"""Every product of the experiments' own programs asks for the highest precision, whatever the CPU.

A CPU computes float32 products in float32 however they are asked for, so no outcome here would tell
that one is bare; on a GPU it would be rounded to TF32. So the programs are traced and read.
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from jaxdip.experiments._a_posteriori import bounded_flow
from jaxdip.experiments._edge_of_stability import sharp_descent
from jaxdip.experiments._gd_1a import margins
from jaxdip.experiments._gd_2 import kernels, steps_allowed
from jaxdip.experiments._gf_follow_ups import any_two_layer
from jaxdip.experiments._gf_width import flow_and_descent
from jaxdip.experiments._image_descent import image_descent
from jaxdip.experiments._ode_discrete import gaps

HIGHEST = jax.lax.Precision.HIGHEST
PRODUCTS = ("dot_general", "conv_general_dilated")
SMALL = {"n": 3, "m": 2, "widest": 6, "k": 5.0}
TRIALS = {
    "a-posteriori": (bounded_flow, SMALL | {"end": 1.0, "records": 2}),
    "edge-of-stability": (
        sharp_descent,
        SMALL | {"c": 1.5, "steps": 2, "records": 2, "stable": 2},
    ),
    "gd-1a": (margins, {"n": 3, "m": 2, "law": "uniform", "first": 1, "last": 2, "each": 1}),
    "gd-2, kernels": (kernels, {"n": 3, "m": 2, "k": 5, "step_size": 0.5, "steps": 2}),
    "gd-2, steps": (steps_allowed, {"n": 3, "m": 2, "k": 5}),
    "gf-follow-ups": (
        any_two_layer,
        SMALL | {"steps": 2, "tolerance": 1e-3, "activation": 0.0, "deviation": 1.0, "both": 1.0},
    ),
    "gf-width": (flow_and_descent, SMALL | {"units": 2, "tolerance": 1e-3}),
    "image descent": (
        image_descent,
        {
            "image": "camera",
            "side": 4,
            "width": 20,
            "operator": "spread",
            "noise": 1.0,
            "step_size": 0.1,
            "steps": 2,
            "records": 2,
            "snapshots": "0 2",
            "curvature": True,
        },
    ),
    "ode-discrete": (
        gaps,
        SMALL | {"method": "igahd", "halvings": 1, "coarsest": 0.25, "steps": 2},
    ),
}


def equations(jaxpr: Any) -> Iterator[Any]:
    """All equations of a program, those of loops, branches and calls in it too."""
    for equation in jaxpr.eqns:
        yield equation
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program):
            if _is_program(value):
                yield from equations(getattr(value, "jaxpr", value))


def _is_program(value: Any) -> bool:
    return hasattr(value, "eqns") or hasattr(getattr(value, "jaxpr", None), "eqns")


def products_of(function: Any, *arguments: Any) -> tuple[int, list[str]]:
    """How many products a program has, and which of them leave the precision to the device."""
    traced = jax.make_jaxpr(function)(*arguments)
    made = [each for each in equations(traced.jaxpr) if each.primitive.name in PRODUCTS]
    bare = [
        str(each.source_info.traceback)
        for each in made
        if each.params["precision"] not in (HIGHEST, (HIGHEST, HIGHEST))
    ]
    return len(made), bare


@pytest.mark.parametrize("name", TRIALS)
def test_every_product_of_an_experiment_asks_for_the_highest_precision(name, key):
    trial, point = TRIALS[name]
    # What a sweep traces: floats are data, whole numbers and words are not.
    traced = {each: x for each, x in point.items() if isinstance(x, float)}
    rest = {each: x for each, x in point.items() if each not in traced}

    def run(key: Any, numbers: dict[str, Any]) -> Any:
        return trial(key, rest | numbers)

    count, bare = products_of(run, key, jax.tree.map(jnp.asarray, traced))
    assert count > 0, "nothing was looked at"
    assert not bare, "\n".join(bare)


def test_a_bare_product_is_seen_wherever_it_stands():
    A, x = jnp.eye(3), jnp.ones(3)

    def asked(v):
        return jnp.matmul(A, v, precision=HIGHEST)

    def program(product):
        def run(v):
            v = jax.lax.fori_loop(0, 2, lambda _, w: product(w), v)
            v = jax.lax.cond(v[0] > 0, product, lambda w: w, v)
            return jax.jit(product)(v) + jax.grad(lambda w: jnp.sum(product(w) ** 2))(v)

        return run

    count, bare = products_of(program(asked), x)
    assert count == 5
    assert not bare
    count, bare = products_of(program(lambda v: A @ v), x)
    assert len(bare) == count == 5
    assert all("test_precision_of_products.py" in place for place in bare)
    count, bare = products_of(lambda v: jnp.convolve(v, v), x)
    assert len(bare) == count == 1
