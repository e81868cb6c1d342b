"""The verdicts of Figure 4 of arXiv 2005.03991 turn when its numbers are spoiled."""

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from jaxdip.experiments import CS4
from jaxdip.experiments._cs_4 import _FIGURE, _PLACES, mixes_jacobian
from jaxdip.generators import DeepDecoder

N = 512


def made(decay=0.02, growth=1.0, sharp=True):
    """Spectra that decay geometrically, one of which is that of the figure."""
    index = np.arange(N)
    true = np.exp(-decay * index) * np.array([1, growth, growth])[:, None]
    read = np.stack([np.exp(np.interp(index, _PLACES, np.log(_FIGURE[s]))) for s in (1, 76, 76)])
    energy = np.zeros((50, N))
    # Each vector at one frequency: 0, 1, 1, 2, 2, …, or spread over all.
    order = np.argsort(np.minimum(index, N - index), kind="stable")
    energy[np.arange(50), order[:50]] = 1
    if not sharp:
        energy[:] = 1 / N
    wide = {"true": true, "cumulative": read}
    dims = ("start", "trial", "step")
    spread = {name: np.broadcast_to(x, (2, 1, 3, N)) for name, x in wide.items()}
    return xr.Dataset(
        {name: ((*dims, "index"), x) for name, x in spread.items()}
        | {
            "energy": (
                (*dims, "leading", "function"),
                np.broadcast_to(energy, (2, 1, 3, 50, N)).copy(),
            ),
            "frequency": ("function", np.minimum(index, N - index)),
        },
        coords={"start": ["uniform", "one"], "step": [1, 76, 3576]},
    )


def verdicts(data):
    return {claim.name: claim.holds for claim in CS4().claims(data)}


def test_a_geometric_steady_spectrum_of_sharp_vectors_holds():
    found = verdicts(made())
    assert not found.pop("the figure shows the singular values of the Jacobian")
    assert len(found) == 6
    assert all(found.values())


def test_a_figure_of_the_true_spectrum_would_be_told():
    data = made()
    published, true = data["cumulative"], data["true"]
    data = data.assign(true=published, cumulative=true)
    assert verdicts(data)["the figure shows the singular values of the Jacobian"]


def test_a_flattening_decay_and_a_moving_spectrum_are_seen():
    power = made()
    power["true"] = power.true * 0 + 1 / (1.0 + np.arange(N))
    assert not verdicts(power)["the singular values decay at least geometrically (scales one)"]
    assert not verdicts(made(growth=2.5))["the spectrum changes only slightly (scales one)"]
    assert not verdicts(made(growth=0.4))["the spectrum changes only slightly (scales one)"]


def test_vectors_without_a_frequency_are_seen():
    found = verdicts(made(sharp=False))
    assert not found["each leading left vector is close to a trigonometric function"]
    assert not found["the leading subspace is one of low frequencies"]


def test_the_jacobian_is_that_of_the_mixes_alone():
    g = DeepDecoder(channels=3, start=(2,), grid=(8,), layers=2, key=jax.random.key(0))
    u = g.latent(jax.random.key(1), scale=1.0)
    J = np.asarray(mixes_jacobian(g, u))
    assert J.shape == (8, 2 * 9)
    moved = jax.random.normal(jax.random.key(2), (2, 3, 3))

    def along(t):
        import equinox as eqx

        mixes = tuple(C + t * D for C, D in zip(g.mixes, moved, strict=True))
        return eqx.tree_at(lambda h: h.mixes, g, mixes)(u)

    _, expected = jax.jvp(along, (jnp.zeros(()),), (jnp.ones(()),))
    np.testing.assert_allclose(J @ np.asarray(moved).ravel(), expected, atol=1e-12)
