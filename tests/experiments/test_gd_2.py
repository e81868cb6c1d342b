"""Figure 2: the steps that theory allows against the library's, and the verdicts."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

import jaxdip as jd
from jaxdip.experiments import GD2
from jaxdip.experiments._gd_2 import kernels, steps_allowed
from jaxdip.sweeps import wilson


def test_the_steps_allowed_are_the_library_s(key):
    n, m, k = 4, 2, 60
    A = jax.random.normal(jd.key_for(key, "operator"), (m, n))
    y = A @ jax.random.normal(jd.key_for(key, "signal"), (n,))
    h = jax.random.normal(jd.key_for(key, "h"), (k,))
    V = jax.random.rademacher(jd.key_for(key, "V"), (n, k), dtype=A.dtype)
    g = jd.TwoLayer(weights=(h[:, None], V))
    operator = jd.operators.Dense(A)
    problem = jd.Problem(u=jnp.ones(1), operator=operator, loss=jd.losses.MSE(), y=y)
    found = steps_allowed(key, {"n": n, "m": m, "k": k})
    L = float(jd.gradient_lipschitz(problem, g).value)
    assert float(found["inverse_L"]) == pytest.approx(1 / L, rel=1e-8)
    followed = kernels(key, {"n": n, "m": m, "k": k, "step_size": 0.5, "steps": 3})
    run = jd.iterate(problem, jd.GradientDescent(0.5), g, 3)
    assert float(followed["loss"]) == pytest.approx(float(run.observed["loss"][-1]), rel=1e-8)
    end = 0.25 * float(jd.kernel_norm(problem, run.generator).value)
    assert float(followed["end"]) == pytest.approx(end, rel=1e-8)
    assert float(followed["start"]) == pytest.approx(0.5 / float(found["edge"]), rel=1e-8)
    assert float(found["edge"]) == pytest.approx(2 / float(jd.kernel_norm(problem, g).value))


STEPS = 10.0 ** np.arange(0.4, 2.5, 0.2)
SIGNALS, WIDTHS = np.array([2, 10, 50]), np.array([100, 1000, 10_000])


def failures(middles, trials=50, width=0.17):
    shares = np.stack([norm.cdf((np.log10(STEPS) - at) / width) for at in middles])
    low, high = wilson(np.round(shares * trials), np.full(shares.shape, trials))
    return {"": shares, "_low": low, "_high": high}


def table(
    over_n=(2.3, 1.6, 1.0),
    over_k=(1.82, 1.82, 1.82),
    edge=0.5,
    inverse=0.0,
    slope=0.95,
    end=0.9,
    start=2.5,
    fall_by_k=0.0,
):
    """Failures around these log γ; 2/λ_max falls with n in such a way as the thresholds."""
    parts: dict[str, Any] = {
        f"failed_by_n{end}": (("n", "step_size"), x) for end, x in failures(over_n).items()
    }
    parts |= {f"failed_by_k{end}": (("k", "step_size"), x) for end, x in failures(over_k).items()}
    fall = (np.asarray(over_n) - over_n[0]) / slope
    parts["edge_by_n"] = ("n", 10 ** (edge + 1.0 + fall))
    parts["inverse_L_by_n"] = ("n", 10 ** (inverse + 1.0 + fall))
    parts["edge_by_k"] = ("k", 10.0**edge * (WIDTHS / WIDTHS[0]) ** fall_by_k)
    parts["inverse_L_by_k"] = ("k", np.full(3, 10.0**inverse))
    parts["probed_start"] = ("draw", np.full(10, start))
    parts["probed_end"] = ("draw", np.array([end] + [0.9] * 9))
    parts["probed_loss"] = ("draw", np.full(10, 1e-15))
    return xr.Dataset(parts, coords={"n": SIGNALS, "k": WIDTHS, "step_size": STEPS})


def verdicts(**spoiled):
    return {claim.name: claim.holds for claim in GD2().claims(table(**spoiled))}


EXPLAINED = "the threshold is that of γ ≤ 1/L"
PRINTED = "L falls with k as (10) does"


def test_the_known_thresholds_hold_and_their_explanation_does_not():
    found = verdicts()
    assert len(found) == 8
    assert {name for name, holds in found.items() if not holds} == {EXPLAINED, PRINTED}
    assert verdicts(edge=1.0, inverse=1.5)[EXPLAINED]


@pytest.mark.parametrize(("exponent", "holds"), [(1.0, True), (0.5, True), (0.3, False)])
def test_a_kernel_that_shrinks_with_k_would_be_that_of_10(exponent, holds):
    assert verdicts(fall_by_k=exponent)[PRINTED] is holds


@pytest.mark.parametrize(
    ("name", "spoiled"),
    [
        ("the admissible step shrinks as n grows", {"over_n": (1.6, 1.58, 1.56)}),
        ("the admissible step shrinks as n grows", {"over_n": (1.0, 1.6, 2.2)}),
        ("it shrinks as 1/λ_max of the kernel does", {"slope": 0.2}),
        ("training starts to diverge at γ = 10^1.6", {"over_k": (1.82, 1.82, 1.0)}),
        ("whatever k is", {"over_k": (1.82, 1.6, 1.3)}),
        ("training goes on past the edge of stability", {"edge": 2.0}),
        ("such runs end where the step is stable", {"end": 1.1}),
        ("such runs end where the step is stable", {"start": 0.9}),
    ],
)
def test_a_spoiled_share_turns_a_verdict(name, spoiled):
    assert not verdicts(**spoiled)[name]
