"""A theorem's verdict on one problem: hypotheses, margin, evidence, and what it then promises."""

import abc
from functools import partial
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._evidence import Grade, Quantity, weakest
from jaxdip._tree import is_concrete
from jaxdip._types import Array, Bool, Float

#: Whose singular values hold the loss to the parameters; see `Ground`.
Kind = Literal["network", "row space", "sketched"]


# Jitted, because each operation outside of jit is a program that is compiled by itself.
@partial(jax.jit, static_argnums=2)
def _below(left: Array, right: Array, strict: bool) -> Array:
    return left < right if strict else left <= right


@jax.jit
def _ratio(left: Array, right: Array) -> Array:
    """right ÷ left, infinite or not a number where left is 0."""
    safe = jnp.where(left == 0, 1, left)
    unbounded = jnp.where(right > 0, jnp.inf, jnp.nan)
    return jnp.where(left == 0, unbounded, right / safe)


@jax.jit
def _all_hold(*held: Array) -> Array:
    return jnp.all(jnp.stack(jnp.broadcast_arrays(*held)), axis=0)


@jax.jit
def _least_of(applicable: Array, *margins: Array) -> Array:
    """The least margin. One that has no value hides no failure that has, but may itself be one."""
    stacked = jnp.stack(jnp.broadcast_arrays(*margins))
    unknown = jnp.isnan(stacked)
    least = jnp.min(jnp.where(unknown, jnp.inf, stacked), axis=0)
    hidden = jnp.any(unknown, axis=0) & (least >= 1)
    return jnp.where(applicable & ~hidden, least, jnp.nan)


class Condition(eqx.Module):
    """An inequality left ≤ right that a theorem asks for.

    Attributes:
        name: the inequality in symbols, such as "R' < R".
        left: the smaller side.
        right: the larger side.
        strict: whether equality does not do.
        otherwise: for a hypothesis without which the theorem says nothing at all, why; None for a
            condition that may hold or fail.
    """

    name: str = eqx.field(static=True)
    left: Quantity
    right: Quantity
    strict: bool = eqx.field(static=True, default=True)
    otherwise: str | None = eqx.field(static=True, default=None)

    @property
    def holds(self) -> Bool[Array, "..."]:
        """Whether it does; False where either side is not a number."""
        return _below(self.left.value, self.right.value, self.strict)

    @property
    def margin(self) -> Float[Array, "..."]:
        """right ÷ left: above 1 where it holds."""
        return _ratio(self.left.value, self.right.value)

    @property
    def grade(self) -> Grade:
        """That of its weaker side."""
        return weakest(self.left.grade, self.right.grade)


class AbstractBound(eqx.Module):
    """A curve that a theorem puts above (or below) something observed along a run."""

    @abc.abstractmethod
    def __call__(self, t: Array) -> Array:
        """The bound at time t of the shared clock; broadcasts over t."""


class Certificate(eqx.Module):
    """What a theorem says of one problem, one start and one dynamics.

    It holds where every condition does. Where a hypothesis fails the theorem is not applicable, and
    every number it would promise is NaN. A pytree: `jax.vmap` makes many at once.

    Attributes:
        theorem: its name.
        source: where it is stated.
        conditions: what it asks for.
        numbers: the constants on the way.
        bounds: what it promises, by the name of the observable: 'loss', 'parameters', ….
    """

    theorem: str = eqx.field(static=True)
    source: str = eqx.field(static=True)
    conditions: tuple[Condition, ...]
    numbers: dict[str, Quantity]
    bounds: dict[str, AbstractBound]
    #: Why nothing at all can be said, known before any number is computed.
    obstacle: str | None = eqx.field(static=True, default=None)
    #: The `Ground` that it stands on, where it stands on one.
    kind: Kind | None = eqx.field(static=True, default=None)

    @property
    def applicable(self) -> Bool[Array, "..."]:
        """Whether every hypothesis holds, without which the theorem says nothing."""
        if self.obstacle is not None:
            return jnp.asarray(False)
        held = [c.holds for c in self.conditions if c.otherwise is not None]
        return _all_hold(jnp.asarray(True), *held)

    @property
    def holds(self) -> Bool[Array, "..."]:
        """Whether the theorem applies and all its conditions hold."""
        held = [c.holds for c in self.conditions]
        return _all_hold(self.applicable, *held)

    @property
    def margin(self) -> Float[Array, "..."]:
        """The least right ÷ left over the conditions; NaN where not applicable.

        Where a condition has no numbers because another fails, the least of those that have.
        """
        margins = [c.margin for c in self.conditions if c.otherwise is None]
        if self.obstacle is not None or not margins:
            return jnp.asarray(jnp.nan)
        return _least_of(self.applicable, *margins)

    @property
    def grade(self) -> Grade:
        """How far the verdict can be trusted: as far as its weakest number."""
        grades: list[Grade] = [c.grade for c in self.conditions]
        return weakest(*grades)

    def bound(self, name: str, t: Array) -> Array:
        """A promised bound at time t of the shared clock; NaN where the theorem is not applicable.

        Where it is applicable but a condition fails, this is the formula, which nothing then
        guarantees; look at `holds`.

        Raises:
            KeyError: if the theorem promises nothing of that name.
        """
        if name not in self.bounds:
            raise KeyError(
                f"{self.theorem} promises nothing about {name!r}; it knows "
                f"{', '.join(self.bounds) or 'nothing here'}"
            )
        return jnp.where(self.applicable, self.bounds[name](jnp.asarray(t)), jnp.nan)

    def loss_bound(self, t: Array) -> Array:
        """The bound on the loss at time t; see `bound`."""
        return self.bound("loss", t)

    @property
    def verdict(self) -> str:
        """In words: 'holds', 'fails' or 'not applicable', with the grade where it holds."""
        if not bool(self.applicable):
            return f"not applicable: {self._reason()}"
        return f"holds ({self.grade})" if bool(self.holds) else "fails"

    def _reason(self) -> str:
        if self.obstacle is not None:
            return self.obstacle
        reasons = [
            c.otherwise for c in self.conditions if c.otherwise is not None and not bool(c.holds)
        ]
        return "; ".join(reasons)

    def __str__(self) -> str:
        """A table: each condition with ✓ or ✗, its margin and its evidence, then the numbers."""
        if not is_concrete(self) or any(x.ndim for x in jax.tree.leaves(self.conditions)):
            return f"{self.theorem}: a batch of certificates; look at .holds and .margin"
        return "\n".join([f"{self.theorem}: {self.verdict}", f"  {self.source}", *self._rows()])

    def _rows(self) -> list[str]:
        rows = []
        for c in self.conditions:
            mark = "✓" if bool(c.holds) else "✗"
            sides = f"{_short(c.left.value)} vs {_short(c.right.value)}"
            margin = f"margin {_short(c.margin)}"
            rows.append(f"  {mark} {c.name:<26} {sides:<24} {margin:<18} {c.grade}")
        for name, q in self.numbers.items():
            rows.append(f"    {name:<26} {_short(q.value):<24} {q.evidence}: {q.how}")
        return rows


def not_applicable(theorem: str, source: str, why: str) -> Certificate:
    """The certificate of a theorem that says nothing about a problem, with the reason."""
    return Certificate(theorem, source, (), {}, {}, why)


def _short(x: Array) -> str:
    return np.format_float_scientific(float(x), precision=2, trim="-") if np.isfinite(x) else str(x)
