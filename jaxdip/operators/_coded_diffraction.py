"""Phase retrieval from diffraction patterns behind random masks."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._random import check_key
from jaxdip._types import Array, Key
from jaxdip.operators._base import AbstractLinearOperator, AbstractOperator
from jaxdip.operators._centred_fourier import complex_dtype
from jaxdip.operators._coordinates import conform
from jaxdip.operators._linearized import Linearized
from jaxdip.operators._structure import signal_structure


class CodedDiffraction(AbstractOperator):
    """F(x)_l = |F(d_l ⊙ x)|² for masks d_1, …, d_L; F is the orthonormal Fourier transform.

    The data are real, of shape (L, *shape), frequency zero first. A signal is determined up to a
    global phase (a sign, if it is real) at best. J_F(x) h = 2 Re(conj(F(d_l ⊙ x)) ⊙ F(d_l ⊙ h)).

    Reference: E. Candès, X. Li, M. Soltanolkotabi, Phase retrieval from coded diffraction patterns,
    Appl. Comput. Harmon. Anal. 39 (2015).
    """

    masks: Array
    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)

    def __init__(self, masks: Any, *, dtype: Any = None):
        """Store the masks.

        Args:
            masks: real or complex, (L, *shape) for signals of that shape.
            dtype: of the signal, real or complex; the default real dtype if None.

        Raises:
            ValueError: if there is no axis for the signal.
        """
        masks = jnp.asarray(masks)
        if masks.ndim < 2 or masks.size == 0:
            raise ValueError(
                f"masks have shape (L, *shape), one for each pattern, got {masks.shape}; "
                "for one pattern pass masks[None]"
            )
        self.in_structure = signal_structure(masks.shape[1:], dtype)
        self.masks = masks.astype(complex_dtype(self.in_structure.dtype))

    @classmethod
    def random(
        cls, shape: int | tuple[int, ...], patterns: int, key: Key, *, dtype: Any = None
    ) -> "CodedDiffraction":
        """Octanary masks: d = b₁ b₂, independent for each entry.

        b₁ is uniform on {1, −1, i, −i}; b₂ is √½ with probability 4/5 and √3 with probability 1/5.
        E|d|² = 1, so that the mean of ΣF(x) over draws is L‖x‖².

        Args:
            shape: the shape of a signal.
            patterns: the number L of masks.
            key: the random key.
            dtype: of the signal, real or complex; the default real dtype if None.

        Raises:
            ValueError: if there is no pattern.
        """
        check_key(key)
        if patterns < 1:
            raise ValueError(f"coded diffraction takes patterns >= 1, got {patterns}")
        structure = signal_structure(shape, dtype)
        coefficients = complex_dtype(structure.dtype)
        key_phase, key_size = jax.random.split(key)
        shape = (patterns, *structure.shape)
        quarters = jnp.asarray([1, 1j, -1, -1j]).astype(coefficients)
        phases = quarters[jax.random.randint(key_phase, shape, 0, 4)]
        sizes = jnp.where(jax.random.bernoulli(key_size, 0.2, shape), 3**0.5, 0.5**0.5)
        return cls(phases * sizes.astype(coefficients), dtype=structure.dtype)

    def __call__(self, x: Array) -> Array:
        """The diffraction patterns, (L, *shape)."""
        x = conform(x, self.in_structure, "CodedDiffraction").astype(self.masks.dtype)
        axes = tuple(range(1, self.masks.ndim))
        field = jnp.fft.fftn(self.masks * x, axes=axes, norm="ortho")
        return field.real**2 + field.imag**2

    def linearize(self, x: Array) -> AbstractLinearOperator:
        """The derivative at x, matrix-free."""
        return Linearized(self, x)
