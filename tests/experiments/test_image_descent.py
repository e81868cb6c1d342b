"""A run on an image: what it returns agrees with itself and with the library's own numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import jaxdip as jd
from jaxdip import theory
from jaxdip._evidence import Quantity
from jaxdip.experiments._gd_4 import theorem
from jaxdip.experiments._image_descent import decibels, image_descent, record_steps, snapshot_steps

POINT = {
    "image": "camera",
    "side": 5,
    "width": 40,
    "operator": "spread",
    "steps": 12,
    "records": 6,
    "snapshots": "0 7 12",
    "curvature": True,
}


@pytest.fixture(scope="module")
def run():
    def one(noise, step_size):
        key = jax.random.key(3)
        return image_descent(key, POINT | {"noise": noise, "step_size": step_size})

    return jax.tree.map(np.asarray, jax.jit(one)(20.0, 0.2))


def test_its_curves_are_those_of_its_images(run):
    at = record_steps(12, 6, "0 7 12")
    assert {0, 7, 12} <= set(at)
    assert at == sorted(set(at))
    assert run["error"].shape == run["residual"].shape == (len(at),)
    for step, image in zip(snapshot_steps("0 7 12"), run["images"], strict=True):
        error = np.linalg.norm(image - run["truth"])
        assert run["error"][at.index(step)] == pytest.approx(error, rel=1e-10)
    assert run["error"][-1] < 0.5 * run["error"][0]
    assert run["truth"].max() > 150
    assert np.std(run["data"]) > 20
    # ‖A(A⁺y) − y‖ = 0, and singular values lie in [1, 2].
    error = np.linalg.norm(run["inverted"] - run["truth"])
    assert run["noise_norm"] / 2 <= error <= run["noise_norm"]
    assert run["sigma_min"] == pytest.approx(1)
    assert run["norm"] == pytest.approx(2)
    assert decibels(run["truth"] + 25.5, run["truth"]) == pytest.approx(20)


def test_the_theorem_s_numbers_and_bound_are_the_library_s(run):
    """J is decomposed densely, and the bound is `with_recovery` of the paper's certificate."""
    n, k, gamma = 25, 40, 0.2
    start = jd.key_for(jax.random.key(3), "init")
    g = jd.TwoLayer(latent=1, width=k, out=(5, 5), both=True, key=start)
    u = jd.on_sphere(1, key=jd.key_for(jax.random.key(3), "latent"))
    operator = jd.operators.WithSpectrum.evenly_spaced(
        n, jd.key_for(jax.random.key(3), "operator"), in_shape=(5, 5)
    )
    y = jnp.asarray(run["data"].ravel())
    problem = jd.Problem(u=u, operator=operator, loss=jd.losses.MSE(), y=y)
    sigma = np.asarray(jd.spectrum(problem, g, of="J").values)[-1]
    assert run["sigma_J"] == pytest.approx(sigma, rel=1e-8)
    assert run["residual"][0] == pytest.approx(
        np.linalg.norm(np.asarray(problem.predict(g) - y)), rel=1e-10
    )
    at = record_steps(12, 6, "0 7 12")
    names = ("sigma_min", "sigma_J", "kernel_norm", "noise_norm")
    data = xr.Dataset({name: (("trial",), run[name][None]) for name in names})
    for name in ("error", "residual"):
        data[name] = (("trial", "step"), run[name][None])
    found = theorem(data.assign_coords(step=at), gamma)

    def number(value):
        return Quantity(jnp.asarray(value), "given", "closed form")

    certificate = theory.with_recovery(
        theory.gradient_descent(
            problem, g, gamma, "network", L=number(run["kernel_norm"]), sharp=False
        ),
        injectivity=number(1.0),
        norm=number(2.0),
        noise_norm=number(run["noise_norm"]),
        distance=number(0.0),
    )
    bound = certificate.bounds["signal"](gamma * jnp.asarray(at, float))
    np.testing.assert_allclose(found["bound"].values[0], np.asarray(bound), rtol=1e-6)
    reach = float(certificate.numbers["R'"].value)
    assert found["reach"].values[0] == pytest.approx(reach, rel=1e-6)
    assert run["radius"] == pytest.approx(float(certificate.numbers["R"].value), rel=1e-6)
