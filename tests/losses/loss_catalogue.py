"""One or more of each loss, with points of its domain, for the laws that all losses obey."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from jaxdip import losses

HERMITIAN = np.array([[2.0, 0.5 - 0.3j, 0.0], [0.5 + 0.3j, 1.0, 0.2j], [0.0, -0.2j, 3.0]])
SPD = np.array([[2.0, 0.6, 0.1], [0.6, 1.0, -0.3], [0.1, -0.3, 3.0]])


COUNT = 3000  # points of each case


class Case(NamedTuple):
    name: str
    loss: losses.AbstractLoss
    y: jax.Array
    draw: Callable  # (rng, y) -> points of the domain, near and far, on one new leading axis
    reference: Callable  # (v, y) -> the loss, by NumPy and SciPy
    tight: bool = True  # the constant of psi is attained in the limit
    room: Callable = np.ones_like  # how far each entry may be moved
    minimiser: Callable = lambda y: y
    gap: Callable = lambda d: d  # the part of v - minimiser that the loss sees


def scales(rng, low, high):
    return 10.0 ** rng.uniform(low, high, (COUNT, 1))


def directions(rng, y):
    """Dense, one-entry and all-equal directions, a third of each, flattened."""
    third, m = COUNT // 3, y.size
    sign = rng.choice([-1.0, 1.0], (third, 1))
    one = sign * np.eye(m)[rng.integers(0, m, third)]
    return np.concatenate([rng.normal(size=(third, m)), one, sign * np.ones((third, m))])


def around(rng, y, extra=None):
    """Residuals of every size, some of them along `extra`."""
    d = directions(rng, y).astype(y.dtype if extra is None else np.result_type(y, extra))
    if extra is not None:
        d[-200:] = extra
    if np.iscomplexobj(y):
        d = d * np.exp(1j * rng.uniform(0, 6, (COUNT, 1)))
    return y + (scales(rng, -4, 2) * d).reshape(-1, *y.shape)


def positive(rng, y):
    """Relative changes of every size upwards, and down to almost 0."""
    t = scales(rng, -4, 3) * directions(rng, y)
    return y * np.where(t < 0, np.exp(np.minimum(t, 0) / 20), 1 + t).reshape(-1, *y.shape)


def unit(rng, y):
    """Steps towards 0 and towards 1 of every size."""
    t = scales(rng, -4, -0.001) * np.clip(directions(rng, y), -1, 1)
    t = t.reshape(-1, *y.shape)
    return np.where(t < 0, y * (1 + t), y + t * (1 - y))


def logits(rng, y):
    """Gauge shifts, dense changes, and changes of the first two classes."""
    t = scales(rng, -5, 1)
    pair = np.zeros(y.size)
    pair[:2] = 1.0, -1.0
    d = np.where(rng.random((COUNT, 1)) < 0.5, pair, rng.normal(size=(COUNT, y.size)))
    gauge = rng.normal(size=(COUNT, *y.shape[:-1], 1))
    return np.log(y) + (t * d).reshape(-1, *y.shape) + gauge


def soft(v, q):
    return np.sum(special.rel_entr(q, special.softmax(v, axis=-1)))


def bernoulli(v, y):
    return np.sum(special.rel_entr(y, v) + special.rel_entr(1 - y, 1 - v))


def centred(d):
    return d - np.mean(d, axis=-1, keepdims=True)


REAL = jnp.array([0.3, -1.0, 2.0, 0.7])
GRID = jnp.array([[0.3, -1.0, 2.0], [0.7, 0.1, -0.4]])
COMPLEX = jnp.array([0.3 + 1j, -1.0 + 0.2j, 2.0 - 0.5j])
COUNTS = jnp.array([0.2, 1.5, 4.0, 0.9])
CHANCES = jnp.array([0.5, 0.1, 0.97, 0.3])
PAIR = jnp.array([[0.1001, 0.1001, 0.3, 0.4998], [0.25, 0.25, 0.25, 0.25]])
CLASSES = jnp.array([0.1, 0.2, 0.3, 0.4])
L = losses


def power(p):
    return lambda v, y: np.linalg.norm(v - y) ** (2 * p + 2) / (2 * p + 2)


def lq(q):
    return lambda v, y: np.linalg.norm(np.ravel(v - y), q) ** q / q


def quadratic(Q):
    return lambda v, y: 0.5 * np.real(np.conj(v - y) @ np.asarray(Q) @ (v - y))


def weakest(Q):
    return functools.partial(around, extra=np.linalg.eigh(Q)[1][:, 0])


CASES = [
    Case("mse", L.MSE(), GRID, around, lambda v, y: 0.5 * np.sum((v - y) ** 2)),
    Case("mse-weight", L.MSE(0.2), REAL, around, lambda v, y: 0.2 * np.sum((v - y) ** 2)),
    Case("mse-complex", L.MSE(1.0), COMPLEX, around, lambda v, y: np.linalg.norm(v - y) ** 2),
    Case(
        "weighted",
        L.WeightedMSE(np.array([0.5, 2.0, 1.0, 7.0])),
        REAL,
        around,
        quadratic(np.diag([0.5, 2.0, 1.0, 7.0])),
    ),
    Case("mahalanobis", L.Mahalanobis(SPD), REAL[:3], weakest(SPD), quadratic(SPD)),
    Case(
        "mahalanobis-complex",
        L.Mahalanobis(HERMITIAN),
        COMPLEX,
        weakest(HERMITIAN),
        quadratic(HERMITIAN),
    ),
    *(Case(f"power-{p}", L.Power(p), GRID, around, power(p)) for p in (0.0, 0.003, 0.2, 1.0)),
    Case("power-complex", L.Power(0.5), COMPLEX, around, power(0.5)),
    *(Case(f"lq-{q}", L.Lq(q), REAL, around, lq(q)) for q in (1.3, 1.99, 2.0, 3.0, 4.0)),
    Case("log-cosh", L.LogCosh(), REAL, around, lambda v, y: np.sum(np.log(np.cosh(v - y)))),
    Case("huber", L.Huber(0.7), REAL, around, lambda v, y: np.sum(special.huber(0.7, v - y))),
    Case(
        "smooth-l1",
        L.SmoothL1(0.7),
        REAL,
        around,
        lambda v, y: np.sum(special.huber(0.7, v - y)) / 0.7,
    ),
    Case(
        "kullback-leibler",
        L.KullbackLeibler(),
        COUNTS,
        positive,
        lambda v, y: np.sum(special.kl_div(y, v)),
        room=lambda v: v,
    ),
    Case(
        "reverse-kullback-leibler",
        L.ReverseKullbackLeibler(),
        COUNTS,
        positive,
        lambda v, y: np.sum(special.kl_div(v, y)),
        room=lambda v: v,
    ),
    Case(
        "cross-entropy",
        L.CrossEntropy(),
        jnp.array([0.5, 0.5, 0.5]),
        unit,
        bernoulli,
        room=lambda v: np.minimum(v, 1 - v),
    ),
    Case(
        "cross-entropy-mixed",
        L.CrossEntropy(),
        CHANCES,
        unit,
        bernoulli,
        tight=False,
        room=lambda v: np.minimum(v, 1 - v),
    ),
    Case("softmax", L.SoftmaxCrossEntropy(0.1), PAIR, logits, soft, minimiser=np.log, gap=centred),
    Case(
        "softmax-loose",
        L.SoftmaxCrossEntropy(0.03),
        CLASSES,
        logits,
        soft,
        tight=False,
        minimiser=np.log,
        gap=centred,
    ),
    Case("l1", L.L1(), REAL, around, lambda v, y: np.sum(np.abs(v - y))),
]
BY_NAME = {case.name: case for case in CASES}


class Sample(NamedTuple):
    v: np.ndarray
    loss: np.ndarray
    gradient: np.ndarray
    distance: np.ndarray  # to the set of minimisers


def evaluate(loss, points, y):
    """Loss and gradient at every point; compiled once for each family of losses."""
    return jax.tree.map(lambda x: x[: len(points)], _evaluate(loss, repeated(points), y))


def apply(desingularizer, function, values):
    """psi, dpsi, … at every value; compiled once for each family."""
    found = _apply(desingularizer, function, repeated(values))
    return np.asarray(found)[: len(values)]


def repeated(rows):
    """As many rows in every call, so that the programs are compiled once."""
    return np.asarray(rows)[np.resize(np.arange(len(rows)), COUNT)]


@eqx.filter_jit
def _evaluate(loss, points, y):
    return jax.vmap(jax.value_and_grad(loss), in_axes=(0, None))(points, y)


@eqx.filter_jit
def _apply(desingularizer, function, values):
    if function == "grad psi":
        return jax.vmap(jax.grad(desingularizer.psi))(values)
    return getattr(desingularizer, function)(values)


@functools.cache
def sample(name: str) -> Sample:
    """Points of the domain with 0 < L < radius, and what the laws need there."""
    case = BY_NAME[name]
    points = case.draw(np.random.default_rng(7), np.asarray(case.y))
    values, gradients = evaluate(case.loss, points, case.y)
    radius = np.asarray(case.loss.desingularizer(case.y).radius)
    inside = np.asarray((values > 0) & (values < radius))
    assert inside.sum() > 500, "too few points in the domain"
    v = np.asarray(points)[inside]
    gap = case.gap(v - case.minimiser(np.asarray(case.y)))
    return Sample(
        v,
        np.asarray(values)[inside],
        np.asarray(gradients)[inside],
        np.linalg.norm(gap.reshape(len(v), -1), axis=1),
    )
