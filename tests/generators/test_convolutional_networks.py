"""ConvDecoder and the Deep Image Prior's network: their formulas, sizes and wrong calls."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import correlate

import jaxdip as jd
from jaxdip.generators import LEAKY_RELU, ConvDecoder, SkipNet, SmoothRectifier


def convolved(layer, B, mode, stride=1):
    """By scipy, channel by channel, then every `stride`-th pixel."""
    weight = np.asarray(layer.weight)
    full = np.stack(
        [sum(correlate(b, w, mode=mode, cval=0.0) for b, w in zip(B, row, strict=True))
         for row in weight]
    )  # fmt: skip
    if layer.bias is not None:
        full += np.asarray(layer.bias).reshape(-1, *[1] * (B.ndim - 1))
    return full[(slice(None), *[slice(None, None, stride)] * (B.ndim - 1))]


def normed(layer, B):
    axes = tuple(range(1, B.ndim))
    wide = (-1, *[1] * (B.ndim - 1))
    B = (B - B.mean(axes, keepdims=True)) / np.sqrt(B.var(axes, keepdims=True) + 1e-5)
    return B * np.asarray(layer.scale).reshape(wide) + np.asarray(layer.shift).reshape(wide)


def enlarged(B, grid, method):
    for axis, n in enumerate(grid, 1):
        start = B.shape[axis]
        at = (np.arange(n) + 0.5) * start / n - 0.5
        if method == "nearest":
            B = np.take(B, np.floor(at + 0.5).astype(int), axis)
        else:
            line = functools.partial(np.interp, at, np.arange(start))
            B = np.apply_along_axis(line, axis, B)
    return B


def decoder_by_hand(g, u):
    B = np.asarray(u)
    for layer, norm, grid in zip(g.convolutions, g.norms, g.grids, strict=True):
        B = enlarged(B, grid, g.upsampling)
        B = normed(norm, np.maximum(convolved(layer, B, "constant"), 0))
    return convolved(g.output, B, "constant")


def skip_net_by_hand(g, u):
    mode = {"reflect": "mirror", "zeros": "constant"}[g.padding]

    def step(layer, B, stride=1):
        B = normed(layer.norm, convolved(layer.convolution, B, mode, stride))
        return np.where(B > 0, B, 0.2 * B)

    def through(scales, B):
        if not scales:
            return B
        scale = scales[0]
        deep = step(scale.down[1], step(scale.down[0], B, 2))
        deep = enlarged(through(scales[1:], deep), B.shape[1:], g.upsampling)
        if scale.skip is not None:
            deep = np.concatenate([step(scale.skip, B), deep])
        return step(scale.up[1], step(scale.up[0], normed(scale.joined, deep)))

    return convolved(g.output, through(g.scales, np.asarray(u)), "constant")


def filled(make):
    """The network with numbers of NumPy's, all off their start, so that each of them counts."""
    rng = np.random.default_rng(0)
    made = eqx.filter_eval_shape(make)
    shapes, rest = eqx.partition(made, made.trainable())
    numbers = jax.tree.map(
        lambda x: jnp.asarray(rng.uniform(-0.5, 0.9, x.shape).astype(x.dtype)), shapes
    )
    return eqx.combine(numbers, rest)


@pytest.mark.parametrize(
    ("start", "grid", "method"),
    [((3,), (7,), "linear"), ((3, 2), (7, 9), "nearest"), ((2, 2, 1), (3, 4, 3), "linear")],
)
def test_the_conv_decoder_is_its_formula(start, grid, method, key):
    g = filled(
        lambda: ConvDecoder(
            channels=3, start=start, grid=grid, layers=2, key=key, colours=2, upsampling=method,
            extra=len(grid) < 3, sigmoid=True,
        )
    )  # fmt: skip
    u = g.latent(key)
    assert u.shape == (3, *start)
    x = eqx.filter_jit(g)(u)
    assert x.shape == g.out_shape == (*grid, 2)
    expected = 1 / (1 + np.exp(-np.moveaxis(decoder_by_hand(g, u), 0, -1)))
    np.testing.assert_allclose(x, expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("grid", "skip", "method", "padding"),
    [((9, 7), (2, 0), "linear", "reflect"), ((11,), (1, 3), "nearest", "zeros")],
)
def test_the_skip_net_is_its_formula(grid, skip, method, padding, key):
    g = filled(
        lambda: SkipNet(
            grid=grid, key=key, inputs=3, down=(4, 5), up=(6, 3), skip=skip, colours=2,
            upsampling=method, padding=padding,
        )
    )  # fmt: skip
    u = g.latent(key)
    assert u.shape == (3, *grid)
    assert 0 <= float(u.min()) < float(u.max()) < 0.1
    x = eqx.filter_jit(g)(u)
    assert x.shape == g.out_shape == (*grid, 2)
    np.testing.assert_allclose(x, np.moveaxis(skip_net_by_hand(g, u), 0, -1), rtol=1e-9, atol=1e-12)


def test_parameters_of_the_released_networks(key):
    def count(made):
        return sum(x.size for x in jax.tree.leaves(eqx.filter(made, made.trainable())))

    net = jax.eval_shape(lambda: SkipNet(grid=(512, 512), key=key, colours=3))
    # The released code has as many, and the biases that its normalisations remove.
    assert count(net) + 5 * (4 * 128 + 4) == 2_217_831
    decoder = jax.eval_shape(
        lambda: ConvDecoder(
            channels=256, start=(8, 4), grid=(640, 368), layers=7, key=key, colours=15,
            complex=True, extra=True,
        )
    )  # fmt: skip
    assert count(decoder) == 8 * (9 * 256**2 + 2 * 256) + 30 * 256


@pytest.mark.parametrize("kind", ["decoder", "skip"])
def test_complex_networks_learn_in_single_precision(kind, key):
    common = {"grid": (11,), "key": key, "complex": True, "dtype": jnp.float32}
    if kind == "decoder":
        g = ConvDecoder(channels=4, start=(6,), layers=1, activation="softplus", **common)
    else:
        smooth = SmoothRectifier(0.1, leak=0.2)
        g = SkipNet(inputs=2, down=(4,), skip=(2,), activation=smooth, **common)
    u = g.latent(key, 1.0)
    x = eqx.filter_jit(g)(u)
    assert (x.shape, x.dtype) == ((11,), jnp.complex64)
    problem = jd.Problem(
        u=u,
        operator=jd.operators.Identity((11,), dtype=jnp.complex64),
        loss=jd.losses.MSE(),
        y=x + jnp.complex64(0.1j),
    )
    run = jd.iterate(problem, jd.GradientDescent(jnp.float32(0.02)), g, 200)
    assert float(run.loss[-1]) < 0.3 * float(run.loss[0])


def test_the_leaky_rectifier_s_constants():
    h, weights = np.polynomial.hermite_e.hermegauss(200)
    weights /= weights.sum()
    square = weights @ np.asarray(LEAKY_RELU(jnp.asarray(h))) ** 2
    assert pytest.approx(square) == LEAKY_RELU.C_phi**2
    assert not LEAKY_RELU.smooth


def test_wrong_networks_are_refused(key):
    sizes = {"channels": 4, "start": (2,), "grid": (8,), "layers": 2, "key": key}
    cases = [
        ({"upsampling": "cubic"}, "choose 'linear' or 'nearest'"),
        ({"sigmoid": True, "complex": True}, "a complex signal has no sigmoid"),
        ({"window": 4}, "window is odd, got 4; try 5"),
        ({"grid": (8, 8)}, "grids of as many axes"),
    ]
    for other, says in cases:
        with pytest.raises(ValueError, match=says):
            ConvDecoder(**(sizes | other))
    with pytest.raises(ValueError, match=r"takes a latent of shape \(4, 2\), got \(4,\)"):
        ConvDecoder(**sizes)(jnp.ones(4))
    sizes = {"grid": (8, 8), "inputs": 2, "down": (3, 3), "key": key}
    cases = [
        ({"upsampling": "cubic"}, "choose 'linear' or 'nearest'"),
        ({"padding": "wrap"}, "choose 'reflect' or 'zeros'"),
        ({"sigmoid": True, "complex": True}, "a complex signal has no sigmoid"),
        ({"skip": (4,)}, "one entry for each scale, got 2, 2 and 1"),
        ({"down": (3,) * 3}, "has one pixel"),
        ({"grid": (16, 4)}, "too small to mirror"),
    ]
    for other, says in cases:
        with pytest.raises(ValueError, match=says):
            SkipNet(**(sizes | other))
    with pytest.raises(ValueError, match=r"takes a latent of shape \(2, 8, 8\), got \(2, 8\)"):
        SkipNet(**sizes)(jnp.ones((2, 8)))
