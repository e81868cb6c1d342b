"""An image recovered by gradient descent on the two-layer network, with its curves: one trial."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from jaxdip._random import key_for
from jaxdip._types import Array, Key
from jaxdip.analysis import jacobian_lipschitz
from jaxdip.dynamics import GradientDescent, iterate, log_steps
from jaxdip.generators import TwoLayer, on_sphere
from jaxdip.imaging import named_image, resample
from jaxdip.losses import MSE
from jaxdip.operators import AbstractLinearOperator, Blur, WithSpectrum
from jaxdip.problem import Problem, kernel_norm, lipschitz_local, measure
from jaxdip.problem.observables import ResidualNorm, Signal, SignalError
from jaxdip.sweeps import SweepResult

_HIGHEST = jax.lax.Precision.HIGHEST
#: White, in the papers' units.
PEAK = 255.0


def image_descent(key: Key, point: dict[str, Any]) -> dict[str, Array]:
    """One run: y = A x̄ + ε, and gradient descent from the start of g(u, θ) = V φ(W u)/√k.

    Both layers are trained on ½‖A x − y‖²: a fixed V with k of the order of n cannot represent an
    image on [0, 255], for φ < 1 and ‖V‖/√k is of order 1. The network is the sigmoid one with
    V = ±1, and u the one unit 'vector' that the latent dimension, which does not enter, leaves.

    Args:
        key: of the operator, the noise and the start.
        point: image (a name), side (pixels), width (k), operator ('blur': Gaussian of standard
            deviation 1 pixel, cut to 3 × 3, periodic; 'spread': singular values evenly spaced from
            1 to 2 between random orthogonal matrices), noise (standard deviation on [0, 255]),
            step_size (γ), steps, records (at most so many positive steps), snapshots (steps whose
            images are kept, such as '0 10 1000'), curvature (whether to compute the numbers of
            the convergence theorem).

    Returns:
        truth, data, inverted (A⁺y) as images; images, shape (S, side, side), at the snapshots;
        error ‖x − x̄‖ and residual ‖A x − y‖ at the steps of `record_steps`; noise_norm ‖ε‖ and
        clean_norm ‖A x̄‖; sigma_min and norm of A; with `curvature` also, all at the start,
        sigma_J σ_n(J), radius R, kernel_norm λ_max(A J Jᵀ Aᵀ) and hessian_norm ‖∇²f‖.
    """
    shape = (point["side"], point["side"])
    truth = PEAK * resample(jnp.asarray(named_image(point["image"]).gray), shape)
    truth = truth.astype(jnp.result_type(float))
    A = _operator(point["operator"], shape, key_for(key, "operator"))
    made = measure(A, truth, noise=point["noise"], key=key_for(key, "noise"))
    u = on_sphere(1, key=key_for(key, "latent"))
    g = TwoLayer(latent=1, width=point["width"], out=shape, both=True, key=key_for(key, "init"))
    problem = Problem(u=u, operator=A, loss=MSE(), y=made.y)
    at = record_steps(point["steps"], point["records"], point["snapshots"])
    run = iterate(
        problem,
        GradientDescent(point["step_size"]),
        g,
        point["steps"],
        at=at,
        observe={"x": Signal(), "error": SignalError(truth), "residual": ResidualNorm()},
    )
    kept = np.searchsorted(at, snapshot_steps(point["snapshots"]))
    found = {
        "truth": truth,
        "data": made.y.reshape(shape),
        "inverted": A.pseudo_inverse(made.y),
        "images": run.observed["x"][kept],
        "error": run.observed["error"],
        "residual": run.observed["residual"],
        "noise_norm": made.noise_norm,
        "clean_norm": jnp.linalg.norm(made.y_clean.ravel()),
        "sigma_min": jnp.asarray(A.sigma_min()),
        "norm": jnp.asarray(A.norm()),
    }
    return {**found, **_curvature(problem, g)} if point["curvature"] else found


def snapshot_steps(snapshots: str) -> list[int]:
    """The steps in '0 10 1000'."""
    return [int(step) for step in snapshots.split()]


def record_steps(steps: int, records: int, snapshots: str) -> list[int]:
    """Steps evenly spaced in their logarithm, and those of the snapshots."""
    return sorted({*log_steps(steps, records), *snapshot_steps(snapshots)})


def described(found: SweepResult, at: Sequence[int], kept: Sequence[int]) -> xr.Dataset:
    """The outcomes of a sweep of `image_descent` as a dataset.

    Args:
        found: of the sweep.
        at: the steps of the records.
        kept: the steps of the images.

    Returns:
        The dataset over the grid's axes, trial, step, snapshot, row and column.
    """
    picture = ("row", "column")
    own = {"images": ("snapshot", *picture), "error": ("step",), "residual": ("step",)}
    own |= dict.fromkeys(("truth", "data", "inverted"), picture)
    axes = (*found.grid.axes, "trial")
    data = xr.Dataset(
        {name: ((*axes, *own.get(name, ())), x) for name, x in found.outcomes.items()},
        coords={
            **{name: np.array(values) for name, values in found.grid.axes.items()},
            "step": list(at),
            "snapshot": list(kept),
        },
    )
    for name in ("images", "error", "residual", "truth", "data", "inverted", "noise_norm"):
        data[name].attrs["units"] = "gray levels of 255"
    return data


def decibels(image: np.ndarray, truth: np.ndarray) -> float:
    """The peak signal-to-noise ratio on [0, 255]."""
    return float(10 * np.log10(PEAK**2 / np.mean((image - truth) ** 2)))


def _operator(name: str, shape: tuple[int, int], key: Key) -> AbstractLinearOperator:
    if name == "blur":
        return Blur.gaussian(shape, 1.0, 1)
    if name == "spread":
        return WithSpectrum.evenly_spaced(shape[0] * shape[1], key, in_shape=shape)
    raise ValueError(f"operator is 'blur' or 'spread', got {name!r}")


def _curvature(problem: Problem, g: TwoLayer) -> dict[str, Array]:
    sigma = _sigma_J(problem, g)
    return {
        "sigma_J": sigma,
        "radius": jacobian_lipschitz(problem, g).largest_radius(sigma / 2),
        "kernel_norm": kernel_norm(problem, g).value,
        "hessian_norm": lipschitz_local(problem, g).value,
    }


def _sigma_J(problem: Problem, g: TwoLayer) -> Array:
    """σ_n(J) from J Jᵀ = (V diag(φ'²) Vᵀ + ‖φ‖² I)/k, which is n × n where J is n × k(n + 1)."""
    hidden = jnp.matmul(g.W, problem.u, precision=_HIGHEST)
    value, slope = jax.jvp(g.activation, (hidden,), (jnp.ones(g.width, g.W.dtype),))
    scaled = g.V * slope
    gram = jnp.matmul(scaled, scaled.T, precision=_HIGHEST)
    return jnp.sqrt((jnp.linalg.eigvalsh(gram)[0] + jnp.sum(value**2)) / g.width)
