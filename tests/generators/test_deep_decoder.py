"""The deep decoder: its upsampling, its normalisation, its sizes, its Jacobian."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd
from jaxdip.generators import DeepDecoder, decoder_sizes

EPS = 1e-5


def doubled(x, axis):
    """Linear upsampling by two along an axis: ¼, ¾ between neighbours, ends replicated."""
    x = np.moveaxis(x, axis, -1)
    left = np.concatenate([x[..., :1], x[..., :-1]], -1)
    right = np.concatenate([x[..., 1:], x[..., -1:]], -1)
    pairs = np.stack([0.25 * left + 0.75 * x, 0.75 * x + 0.25 * right], -1)
    return np.moveaxis(pairs.reshape(*x.shape[:-1], -1), -1, axis)


def by_hand(g, u, *, last=True, squash=False):
    B = np.asarray(u)
    for i, C in enumerate(g.mixes):
        B = np.einsum("ok,k...->o...", np.asarray(C), B)
        for axis in range(1, B.ndim):
            B = doubled(B, axis)
        B = np.maximum(B, 0)
        if i < len(g.mixes) - 1 or last:
            axes = tuple(range(1, B.ndim))
            B = (B - B.mean(axes, keepdims=True)) / np.sqrt(B.var(axes, keepdims=True) + EPS)
            if g.scales:
                wide = (-1,) + (1,) * (B.ndim - 1)
                B = B * np.asarray(g.scales[i]).reshape(wide) + np.asarray(g.shifts[i]).reshape(
                    wide
                )
    x = np.einsum("ok,k...->...o", np.asarray(g.v), B)
    return 1 / (1 + np.exp(-x)) if squash else x


@pytest.mark.parametrize("start", [(4,), (3, 2), (2, 2, 3)])
def test_the_decoder_is_its_formula(start, key):
    grid = tuple(4 * n for n in start)
    g = DeepDecoder(channels=6, start=start, grid=grid, layers=2, key=key, colours=2, sigmoid=True)
    shifted = jax.tree.map(lambda x: x + 0.3, (g.scales, g.shifts))
    g = eqx.tree_at(lambda g: (g.scales, g.shifts), g, shifted)
    u = g.latent(jd.key_for(key, "latent"))
    assert u.shape == (6, *start)
    assert 0 <= float(u.min()) < float(u.max()) < 0.1
    np.testing.assert_allclose(g(u), by_hand(g, u, squash=True), rtol=1e-12)
    assert g(u).shape == g.out_shape == (*grid, 2)
    papers = DeepDecoder.paper(channels=6, start=start, grid=grid, layers=2, key=key)
    assert sorted(np.asarray(papers.v[0])) == pytest.approx([-(6**-0.5)] * 3 + [6**-0.5] * 3)
    np.testing.assert_allclose(
        papers(u), by_hand(papers, u, last=False)[..., 0], rtol=1e-12, atol=1e-14
    )


def test_sizes_and_parameters_of_the_released_networks(key):
    assert [n for (n,) in decoder_sizes((16,), (256,), 5)] == [28, 49, 85, 148, 256]
    heights = decoder_sizes((16, 16), (640, 368), 10)
    assert heights == tuple(
        zip(
            [24, 34, 49, 70, 102, 147, 212, 307, 443, 640],
            [22, 30, 41, 57, 77, 105, 144, 197, 269, 368],
            strict=True,
        )
    )
    assert decoder_sizes((16,), (64,), 2) == ((32,), (64,))
    made = jax.eval_shape(
        lambda: DeepDecoder(channels=256, start=(16, 16), grid=(256, 256), layers=5, key=key)
    )
    trained = jax.tree.leaves(eqx.filter(made, made.trainable()))
    assert sum(leaf.size for leaf in trained) == 330_496
    # The MRI network has one more layer, and 30 outputs: real and imaginary parts of 15 coils.
    made = jax.eval_shape(
        lambda: DeepDecoder(
            channels=384,
            start=(16, 16),
            grid=(640, 368),
            layers=10,
            key=key,
            colours=15,
            complex=True,
            extra=True,
        )
    )
    trained = jax.tree.leaves(eqx.filter(made, made.trainable()))
    assert sum(leaf.size for leaf in trained) == 11 * 384**2 + 2 * 11 * 384 + 30 * 384


def test_normalisation_forgets_the_size_of_the_mixes(key):
    g = DeepDecoder.paper(channels=8, start=(4,), grid=(32,), layers=3, key=key)
    u = g.latent(key, scale=100.0)
    larger = eqx.tree_at(lambda g: g.mixes[0], g, 7 * g.mixes[0])
    np.testing.assert_allclose(larger(u), g(u), rtol=1e-4)
    # The last layer is not normalised, so the signal is homogeneous in it.
    last = eqx.tree_at(lambda g: g.mixes[-1], g, 2 * g.mixes[-1])
    np.testing.assert_allclose(last(u), 2 * g(u), rtol=1e-12)


def test_a_normalised_last_layer_cannot_move_the_mean(key):
    """So its Jacobian over the mixes has a zero singular value."""
    g = DeepDecoder(
        channels=64, start=(4,), grid=(16,), layers=2, key=key, affine=False, train_output=False
    )
    problem = jd.Problem(
        u=g.latent(key, 1.0),
        operator=jd.operators.Identity(16),
        loss=jd.losses.MSE(),
        y=jnp.ones(16),
    )
    found = jd.spectrum(problem, g, of="J")
    assert float(found.sigma_min.value) < 1e-13 * float(found.sigma_max.value)
    assert float(found.sigma_min_lower.value) == 0
    assert abs(float(g(problem.u).sum())) < 1e-12
    free = DeepDecoder.paper(channels=64, start=(4,), grid=(16,), layers=2, key=key)
    assert float(jd.spectrum(problem, free, of="J").sigma_min.value) > 1e-6


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_a_complex_decoder_fits_complex_data(dtype, key):
    g = DeepDecoder(
        channels=6,
        start=(3, 3),
        grid=(6, 6),
        layers=1,
        key=key,
        complex=True,
        activation="softplus",
        dtype=dtype,
    )
    u = g.latent(key, 1.0)
    kind = jnp.complex64 if dtype == jnp.float32 else jnp.complex128
    assert g(u).dtype == kind
    assert g(u).shape == (6, 6)
    A = jd.operators.Identity((6, 6), dtype=kind)
    y = (g(u) + jnp.asarray(0.1j, kind)).astype(kind)
    problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=y)
    run = jd.iterate(problem, jd.GradientDescent(jnp.asarray(0.02, dtype)), g, 200)
    assert float(run.loss[-1]) < 0.1 * float(run.loss[0])


def test_wrong_decoders_are_refused(key):
    sizes = {"channels": 4, "start": (2,), "grid": (8,), "layers": 2, "key": key}
    cases = [
        ({"upsampling": "cubic"}, "choose 'linear' or 'nearest'"),
        ({"sigmoid": True, "complex": True}, "a complex signal has no sigmoid"),
        ({"grid": (8, 8)}, "grids of as many axes"),
        ({"channels": 0}, "channels is at least 1"),
        ({"layers": 0}, "layers is at least 1"),
    ]
    for other, says in cases:
        with pytest.raises(ValueError, match=says):
            DeepDecoder(**(sizes | other))
    g = DeepDecoder(**sizes)
    with pytest.raises(ValueError, match=r"takes a latent of shape \(4, 2\), got \(4,\)"):
        g(jnp.ones(4))
