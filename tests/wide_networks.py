"""Wide networks with data near their start, where the convergence theorems hold."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxdip as jd

OBSERVE = {
    "residual": jd.observables.ResidualNorm(),
    "distance": jd.observables.ParameterDistance(),
}


def wide(seed=0, k=20_000, m=2, n=3, loss=None, offset=0.3, both=False, activation="sigmoid"):
    """A wide network, with data near its start so that the theorems hold."""
    key = jax.random.key(seed)
    values = jnp.linspace(1.0, 0.6, m)
    A = jd.operators.WithSpectrum(values, m=m, n=n, key=jd.key_for(key, "operator"))
    g = jd.TwoLayer(
        latent=4, width=k, out=n, key=jd.key_for(key, "init"), both=both, activation=activation
    )
    u = jd.on_sphere(4, key=jd.key_for(key, "latent"))
    y = A(g(u)) + offset * jax.random.normal(jd.key_for(key, "offset"), (m,))
    loss = jd.losses.MSE() if loss is None else loss
    return jd.Problem(u=u, operator=A, loss=loss, y=y), g


def holds_along(certificate, run, names=("loss", "residual", "distance")):
    """bound ÷ observed along a run, its least over the records after the first."""
    assert bool(certificate.holds), str(certificate)
    seen = {"loss": run.loss, **{name: run.observed[name] for name in OBSERVE}}
    slack = {}
    for name in names:
        ratio = np.asarray(certificate.bound(name, run.ts) / seen[name])[1:]
        # Below this, it is the solver's tolerance that is observed.
        live = np.asarray(seen["loss"])[1:] > 1e-14
        slack[name] = ratio[live].min()
        assert slack[name] >= 1 - 1e-9, name
    return slack
