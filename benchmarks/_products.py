"""A function evaluated with the operands of every product rounded, as narrower hardware does it.

A program is traced and its equations are evaluated one by one; in place of each product (JAX's
`dot_general`) of float32 operands stands one of rounded operands, accumulated in float32, which is
how GPUs take TF32 and TPUs bfloat16. All else, decompositions too, stays as it is. Rounding is to
nearest even, by `jax.lax.reduce_precision`; a GPU's TF32 truncates, which is at most twice as bad.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

#: A product's bind, and its operands, to its result.
Product = Callable[[Callable[[Any, Any], Any], Any, Any], Any]


def _rounded(x: Any, mantissa: int) -> Any:
    return jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=mantissa)


def _to_mantissa(bits: int) -> Product:
    return lambda dot, a, b: dot(_rounded(a, bits), _rounded(b, bits))


def _three_passes(dot: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    """Each operand as the sum of two bfloat16 numbers, without the product of the small ones."""
    a1, b1 = _rounded(a, 7), _rounded(b, 7)
    a2, b2 = _rounded(a - a1, 7), _rounded(b - b1, 7)
    return dot(a1, b1) + (dot(a1, b2) + dot(a2, b1))


#: By name: float32 proper, three bfloat16 passes, TF32 (10 bits of mantissa), bfloat16 (7).
PRODUCTS: dict[str, Product] = {
    "float32": lambda dot, a, b: dot(a, b),
    "bf16x3": _three_passes,
    "TF32": _to_mantissa(10),
    "bf16": _to_mantissa(7),
}


def with_products(function: Callable[..., Any], product: Product) -> Callable[..., Any]:
    """The function with its float32 products replaced; arguments are trees of arrays."""

    def run(*arguments: Any) -> Any:
        closed, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
        flat = _evaluate(closed, jax.tree.leaves(arguments), product)
        return jax.tree.unflatten(jax.tree.structure(shape), flat)

    return run


def _evaluate(closed: ClosedJaxpr, values: Sequence[Any], product: Product) -> list[Any]:
    return _evaluate_open(closed.jaxpr, closed.consts, values, product)


def _evaluate_open(
    jaxpr: Jaxpr, consts: Sequence[Any], values: Sequence[Any], product: Product
) -> list[Any]:
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *values], strict=True))

    def read(variable: Any) -> Any:
        return variable.val if isinstance(variable, Literal) else known[variable]

    for equation in jaxpr.eqns:
        found = _apply(equation, [read(v) for v in equation.invars], product)
        known.update(zip(equation.outvars, found, strict=True))
    return [read(v) for v in jaxpr.outvars]


def _apply(equation: Any, values: list[Any], product: Product) -> list[Any]:
    """The results of one equation."""
    primitive, params = equation.primitive, equation.params
    rule = _RULES.get(primitive.name)
    if rule is not None:
        return rule(params, values, product)
    if primitive.name in _CALLS:
        inner = params.get("call_jaxpr", params.get("jaxpr"))
        closed = inner if isinstance(inner, ClosedJaxpr) else ClosedJaxpr(inner, ())
        return _evaluate(closed, values, product)

    def bind(*operands: Any) -> Any:
        return primitive.bind(*operands, **params)

    if primitive.name == "dot_general" and all(x.dtype == jnp.float32 for x in values):
        return [product(bind, *values)]
    found = bind(*values)
    return list(found) if primitive.multiple_results else [found]


def _scan(params: Any, values: list[Any], product: Product) -> list[Any]:
    held, carried = params["num_consts"], params["num_carry"]
    consts, carry, xs = values[:held], values[held : held + carried], values[held + carried :]

    def body(carry: Any, x: Any) -> Any:
        found = _evaluate(params["jaxpr"], [*consts, *carry, *x], product)
        return tuple(found[:carried]), tuple(found[carried:])

    last, ys = jax.lax.scan(
        body, tuple(carry), tuple(xs), length=params["length"], reverse=params["reverse"]
    )
    return [*last, *ys]


def _while(params: Any, values: list[Any], product: Product) -> list[Any]:
    first, second = params["cond_nconsts"], params["body_nconsts"]
    asked, held = values[:first], values[first : first + second]

    def going(carry: Any) -> Any:
        return _evaluate(params["cond_jaxpr"], [*asked, *carry], product)[0]

    def body(carry: Any) -> Any:
        return tuple(_evaluate(params["body_jaxpr"], [*held, *carry], product))

    return list(jax.lax.while_loop(going, body, tuple(values[first + second :])))


def _cond(params: Any, values: list[Any], product: Product) -> list[Any]:
    branches = [
        lambda *operands, branch=branch: tuple(_evaluate(branch, operands, product))
        for branch in params["branches"]
    ]
    return list(jax.lax.switch(values[0], branches, *values[1:]))


#: Calls of another program, which may hold products too.
_CALLS = (
    "jit",
    "pjit",
    "closed_call",
    "core_call",
    "custom_jvp_call",
    "custom_vjp_call",
    "checkpoint",
)
_RULES: dict[str, Callable[[Any, list[Any], Product], list[Any]]] = {
    "scan": _scan,
    "while": _while,
    "cond": _cond,
}
