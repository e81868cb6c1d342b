"""One of each noun, small: the laws of the dynamics run over all of them."""

import jax
import jax.numpy as jnp
import optax

import jaxdip as jd

N, D, K = 6, 9, 12

GENERATORS = {
    "two-layer": lambda key, dtype=None: jd.TwoLayer(
        latent=D, width=K, out=N, key=key, dtype=dtype, activation="tanh"
    ),
    "two-layer-both": lambda key, dtype=None: jd.TwoLayer(
        latent=D, width=K, out=N, key=key, both=True, dtype=dtype
    ),
    "mean-field": lambda key, dtype=None: jd.TwoLayer(
        latent=D, width=K, out=N, key=key, scaling="mean-field", dtype=dtype, activation="tanh"
    ),
    "mlp": lambda key, dtype=None: jd.MLP(
        widths=(D, K, 8), out=N, key=key, ntk=True, activation="softplus", dtype=dtype
    ),
    "linear": lambda key, dtype=None: jd.Linear(
        jax.random.normal(key, (N, 7), dtype), jnp.linspace(-1, 1, 7, dtype=dtype)
    ),
}

OPERATORS = {
    "wide": lambda key, dtype=None: jd.operators.Gaussian(
        m=3, n=N, key=key, normalized=True, dtype=dtype
    ),
    "square": lambda key, dtype=None: jd.operators.WithSpectrum.evenly_spaced(N, key, dtype=dtype),
    "tall": lambda key, dtype=None: jd.operators.Gaussian(
        m=8, n=N, key=key, normalized=True, dtype=dtype
    ),
    "mask": lambda key, dtype=None: jd.operators.Mask.random(N, 0.5, key, dtype=dtype),
}

LINEAR_DESCENTS = {
    "gd": lambda: jd.GradientDescent(0.05),
    "igahd": lambda: jd.IGAHD(0.02, 0.5, 0.1),
    "igahd-eta": lambda: jd.IGAHD(0.02, 0.5, 0.1, gradient_at="eta"),
    "momentum": lambda: jd.Optax(optax.sgd(0.02, momentum=0.8), linear=True),
}

FLOWS = {"gf": lambda: jd.GradientFlow(), "isehd": lambda: jd.ISEHD(0.5, 0.3)}


def problem(key, generator="two-layer", operator="wide", *, noise=0.05, loss=None, dtype=None):
    """A problem, a generator at its start and the measurement, each from its own key."""
    keys = {name: jd.key_for(key, name) for name in ("operator", "signal", "noise", "init", "u")}
    A = OPERATORS[operator](keys["operator"], dtype)
    g = GENERATORS[generator](keys["init"], dtype)
    x = jax.random.normal(keys["signal"], (N,), dtype)
    data = jd.measure(A, x, noise=noise, key=keys["noise"])
    # Not of unit norm, so that a lost factor ‖u‖ is seen.
    u = 1.5 * jd.on_sphere(D, key=keys["u"], dtype=dtype)
    stated = jd.Problem(u=u, operator=A, loss=jd.losses.MSE() if loss is None else loss, y=data.y)
    return stated, g, data
