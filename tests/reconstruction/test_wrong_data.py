"""Data, masks and truths that do not fit `reconstruct` are answered in one line; memory is told."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd

# Of any type, because they are called wrongly on purpose.
MRI: Any = jd.operators.MRI
Mask: Any = jd.operators.Mask
KEY = jax.random.key(0)
KEEP = np.arange(64).reshape(8, 8) % 2 == 0
X = jnp.ones((8, 8))
SAME = jd.operators.Identity((8, 8))


def decoder(key):
    g = jd.DeepDecoder(channels=2, start=(4, 4), grid=(8, 8), layers=1, key=key)
    return g, g.latent(key)


def recovered(y: Any, operator: Any = SAME, **options: Any):
    return jd.reconstruct(y, operator, decoder, key=KEY, steps=2, **options)


def scanner(dtype):
    return MRI(KEEP, dtype=dtype)


WRONG = {
    "complex image, real generator": (
        lambda: recovered(jnp.ones(32, complex), scanner(complex)),
        r"generator makes real signals \(float64\).*complex=True, or .*dtype=float",
    ),
    "complex data, real operator": (
        lambda: recovered(X.astype(complex)),
        r"data y are complex, but the operator makes real observations .*y\.real",
    ),
    "complex data, real loss": (
        lambda: recovered(jnp.ones(32, complex), scanner(float), loss=jd.losses.LogCosh()),
        r"LogCosh takes real predictions only; use jaxdip\.losses\.MSE",
    ),
    "data of another shape": (lambda: recovered(jnp.ones((8, 9))), r"y has \(8, 9\)"),
    "full k-space": (
        lambda: recovered(X.astype(complex), scanner(float)),
        r"shape \(32,\), but y has",
    ),
    "a word": (lambda: recovered("camera"), "y is an array of the data, got str"),
    "nothing": (lambda: recovered(None), "y is an array of the data, got NoneType"),
    "objects": (lambda: recovered(np.array([[None]])), "y is an array of the data, got ndarray"),
    "ragged": (lambda: recovered([[1.0], [1.0, 2.0]]), "rows of several lengths"),
    "an Image": (
        lambda: recovered(jd.imaging.named_image("coins")),
        r"got Image; give its \.pixels or \.gray",
    ),
    "NaN": (lambda: recovered(X.at[0, 0].set(jnp.nan)), "y has 1 entries that are NaN"),
    "negative counts": (
        lambda: recovered(-X, loss=jd.losses.KullbackLeibler()),
        "data must be positive",
    ),
    "NaN in the truth": (lambda: recovered(X, truth=X * jnp.nan), "truth has NaN"),
    "complex truth": (lambda: recovered(X, truth=X.astype(complex)), r"pass truth\.real"),
    "mask of another shape": (
        lambda: recovered(jnp.ones(48), Mask(np.ones((8, 6), bool))),
        r"the operator takes \(8, 6\)",
    ),
    "mask of ones": (lambda: Mask(np.ones((8, 8))), "got float64; pass keep > 0"),
    "mask of NaN": (lambda: Mask(np.full((8, 8), np.nan)), "a mask is a boolean array"),
    "mask of zeros": (lambda: Mask(~np.ones((8, 8), bool)), "keeps at least one entry, got none"),
    "mask of nothing": (lambda: Mask(np.ones((0, 8), bool)), "keeps at least one entry"),
    "mask by name": (lambda: Mask("mask.png"), "read it from its file first"),
    "no mask": (lambda: MRI(None), "a mask is a boolean array, got object"),
    "ragged mask": (lambda: Mask([[True], [True, False]]), "rows of several lengths"),
    "MRI mask of numbers": (lambda: MRI(1 * KEEP), "got int64; pass keep > 0"),
    "MRI mask of three axes": (lambda: MRI(KEEP[None]), r"\(H, W\) or \(W,\), got \(1, 8, 8\)"),
    "MRI columns of another width": (
        lambda: MRI(np.ones(5, bool), shape=(8, 8)),
        r"mask of shape \(5,\), shape=\(8, 8\)",
    ),
    "MRI shape a number": (lambda: MRI(np.ones(8, bool), shape=8), r"\(H, W\), got 8"),
    "blind coils": (
        lambda: MRI(KEEP, sensitivities=jnp.zeros((2, 8, 8))),
        "sensitivities are zero everywhere",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_one_line(name):
    call, message = WRONG[name]
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


class Enough(ValueError):
    """Raised by a caller who has heard what a run takes."""


def test_memory_is_told_before_the_first_step():
    """States grow with the starts, a step's memory does not; what it raises ends the run."""
    found = []

    def hear(memory):
        found.append(memory)
        raise Enough

    for seeds in (1, 3):
        with jax.numpy_dtype_promotion("standard"), pytest.raises(Enough):
            recovered(X, seeds=seeds, together=False, optimizer="adam", before=hear)
    one, three = found
    assert (one.starts, three.starts) == (1, 3)
    assert one.step == three.step > 8 * X.size
    assert three.states == 3 * one.states
    # θ, Adam's two moments and the θ kept aside, the last image and the average: twice.
    sizes = [leaf.size for leaf in jax.tree.leaves(decoder(KEY)[0])]
    assert one.states >= 2 * 8 * (4 * sum(sizes) + 2 * X.size)
    assert one.states < 2 * 8 * (5 * sum(sizes) + 3 * X.size) + 2000
