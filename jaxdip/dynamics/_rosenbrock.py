"""A Rosenbrock method: implicit, of order 5, without Newton iterations."""

import abc
from typing import ClassVar, TypeAlias

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._types import Array, Tree

#: γ, the diagonal of the method, and the published rows of a and C (those of the first stage are
#: empty; each of the last two stages starts where the stage before it ended).
GAMMA = 0.21193756319429014
_A = (
    (3.0,),
    (2.849394379747939, 0.45842242204463923),
    (-6.954028509809101, 2.489845061869568, -10.358996098473584),
    (2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641),
    (
        -7.502846399306121,
        2.561846144803919,
        -11.627539656261098,
        -0.18268767659942256,
        0.030198172008377946,
    ),
)
_C = (
    (-14.155112264123755,),
    (-17.97296035885952, -2.859693295451294),
    (147.12150275711716, -1.41221402718213, 71.68940251302358),
    (165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306),
    (
        24.854864614690072,
        -3.0009227002832186,
        47.4931110020768,
        5.5814197821558125,
        -0.6610691825249471,
    ),
    (
        30.91273214028599,
        -3.1208243349937974,
        77.79954646070892,
        34.28646028294783,
        -19.097331116725623,
        -28.087943162872662,
    ),
    (
        37.80277123390563,
        -3.2571969029072276,
        112.26918849496327,
        66.9347231244047,
        -40.06618937091002,
        -54.66780262877968,
        -9.48861652309627,
    ),
)
#: The rows of k1, k2 and k3 of the dense output.
_H = (
    (
        25.948786856663858,
        -2.5579724845846235,
        10.433815404888879,
        -2.3679251022685204,
        0.524948541321073,
        1.1241088310450404,
        0.4272876194431874,
        -0.17202221070155493,
    ),
    (
        -9.91568850695171,
        -0.9689944594115154,
        3.0438037242978453,
        -24.495224566215796,
        20.176138334709044,
        15.98066361424651,
        -6.789040303419874,
        -6.710236069923372,
    ),
    (
        11.419903575922262,
        2.8879645146136994,
        72.92137995996029,
        80.12511834622643,
        -52.072871366152654,
        -59.78993625266729,
        -0.15582684282751913,
        4.883087185713722,
    ),
)


def _stage_matrix(rows) -> np.ndarray:
    """The rows of the second and later stages as a strictly lower triangular matrix."""
    matrix = np.zeros((8, 8))
    for i, row in enumerate(rows, start=1):
        matrix[i, : len(row)] = row
    return matrix


_C_MATRIX = _stage_matrix(_C)
# y6 and y7, the arguments of the last stages, are y5 + u5 (counted from 0) and y6 + u6.
_A_MATRIX = _stage_matrix((*_A, (*_A[-1], 1.0), (*_A[-1], 1.0, 1.0)))
_END = np.array((*_A[-1], 1.0, 1.0, 1.0))
_DENSE = np.array(_H)


class AbstractFactorization(eqx.Module):
    """I − h J, factorised."""

    @property
    @abc.abstractmethod
    def sound(self) -> Array:
        """Whether h times each positive eigenvalue of J is below 1.

        Past that pole a Rosenbrock method would damp what in truth grows.
        """

    @abc.abstractmethod
    def solve(self, b: Tree) -> Tree:
        """(I − h J)⁻¹ b."""


class AbstractJacobian(eqx.Module):
    """The Jacobian J of an autonomous vector field, known by its shifted solves."""

    @abc.abstractmethod
    def factorize(self, state: Tree, h: Array) -> AbstractFactorization:
        """I − h J(state), factorised."""


_State: TypeAlias = None


class Rodas5PInterpolation(dfx.AbstractLocalInterpolation):
    """The method's own continuous extension, of order 4.

    y(s) = (1 − s) y0 + s (y1 + (1 − s)(k1 + s (k2 + s k3))), for s = (t − t0)/(t1 − t0).
    """

    t0: Array
    t1: Array
    y0: Tree
    y1: Tree
    k: tuple[Tree, Tree, Tree]

    def evaluate(self, t0, t1=None, left: bool = True) -> Tree:
        """y(t0), or y(t1) − y(t0)."""
        if t1 is not None:
            return jax.tree.map(jnp.subtract, self.evaluate(t1), self.evaluate(t0))
        width = self.t1 - self.t0
        # The two ends coincide before the first step; any s will do then.
        s = (t0 - self.t0) / jnp.where(width == 0, jnp.ones_like(width), width)

        def at(y0, y1, k1, k2, k3):
            z = s.astype(y0.dtype)
            return (1 - z) * y0 + z * (y1 + (1 - z) * (k1 + z * (k2 + z * k3)))

        return jax.tree.map(at, self.y0, self.y1, *self.k)


class Rodas5P(dfx.AbstractAdaptiveSolver[_State]):
    """Rodas5P, for autonomous stiff equations whose Jacobian is at hand.

    Each step solves eight linear systems with one matrix,

        (I − γhJ) u_i = γh F(y0 + Σ_j a_ij u_j) + γ Σ_j C_ij u_j,

    so it factorises once and never iterates. Order 5, error estimate of order 4, stiffly accurate
    and L-stable, dense output of order 4. A step beyond which J has an eigenvalue past 1/(γh) is
    rejected: such a step would damp an instability.

    Reference: G. Steinebach, "Construction of Rosenbrock-Wanner method Rodas5P and numerical
    benchmarks within the Julia Differential Equations package", BIT 63:27, 2023.

    Attributes:
        jacobian: of the vector field that is integrated, exact (an approximation loses the order).
    """

    jacobian: AbstractJacobian

    term_structure: ClassVar = dfx.ODETerm
    interpolation_cls: ClassVar = Rodas5PInterpolation

    def order(self, terms):
        """5."""
        return 5

    def init(self, terms, t0, t1, y0, args) -> _State:
        """Nothing to carry from step to step."""
        return None

    def func(self, terms, t0, y0, args):
        """F(y0)."""
        return terms.vf(t0, y0, args)

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        """One step: y1, its error, the interpolation's data, the (empty) state, success."""
        h = terms.contr(t0, t1)
        shift = GAMMA * h
        factor = self.jacobian.factorize(y0, shift)

        def stage(u, rows):
            i, a, c = rows
            velocity = terms.vf(t0, jax.tree.map(jnp.add, y0, _combine(a, u)), args)
            b = jax.tree.map(
                lambda f, v: shift.astype(f.dtype) * f + GAMMA * v, velocity, _combine(c, u)
            )
            new = factor.solve(b)
            return jax.tree.map(lambda all_u, u_i: all_u.at[i].set(u_i), u, new), None

        # A loop, because eight copies of the vector field and the solve are slow to compile.
        none = jax.tree.map(lambda y: jnp.zeros((8, *y.shape), y.dtype), y0)
        rows = (jnp.arange(8), jnp.asarray(_A_MATRIX), jnp.asarray(_C_MATRIX))
        u, _ = jax.lax.scan(stage, none, rows)
        y1 = jax.tree.map(jnp.add, y0, _combine(jnp.asarray(_END), u))
        error = jax.tree.map(lambda u: jnp.where(factor.sound, u[-1], jnp.inf), u)
        k = tuple(_combine(jnp.asarray(row), u) for row in _DENSE)
        return y1, error, {"y0": y0, "y1": y1, "k": k}, None, dfx.RESULTS.successful


def _combine(weights: Array, u: Tree) -> Tree:
    """Σ_j w_j u_j, leaf by leaf, for leaves stacked along j."""
    highest = jax.lax.Precision.HIGHEST
    return jax.tree.map(
        lambda x: jnp.tensordot(weights.astype(x.dtype), x, axes=1, precision=highest), u
    )
