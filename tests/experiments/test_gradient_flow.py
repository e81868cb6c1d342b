"""The verdicts on gradient flow (arXiv 2309.12128) turn when their numbers are spoiled."""

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from jaxdip.experiments import GFConditioning, GFEarlyStopping, GFFollowUps, GFWidth
from jaxdip.experiments._gf_early_stopping import printed_time
from jaxdip.experiments._gf_follow_ups import _LAYERS, _NAMES
from jaxdip.losses import MSE
from jaxdip.sweeps import wilson

WIDTHS = np.array([3.0, 10.0, 32.0, 100.0, 316.0])
TRIALS = 30


def shares(name, dims, values):
    """A share with its interval."""
    values = np.asarray(values, float)
    low, high = wilson(np.round(values * TRIALS), np.full(values.shape, TRIALS))
    return {name + end: (dims, x) for end, x in (("", values), ("_low", low), ("_high", high))}


def verdicts(experiment, data):
    return {claim.name: claim.holds for claim in experiment.claims(data)}


def width_data():
    values = [[0.4, 0.7, 1, 1, 1], [0.2, 0.5, 0.9, 1, 1], [0, 0.2, 0.8, 1, 1]]
    hit = np.arange(TRIALS) < np.round(np.array(values) * TRIALS)[..., None]
    time = np.where(hit, 50.0, np.inf)
    dims = ("m", "k", "trial")
    parts = {"flow_run": (dims, hit), "descent_run": (dims, hit.copy())}
    parts |= {"flow_time": (dims, time), "descent_time": (dims, time.copy())}
    for name in ("flow", "descent"):
        parts |= shares(name, ("m", "k"), values)
    return xr.Dataset(parts, coords={"m": [1, 2, 3], "k": WIDTHS})


def test_widths():
    assert all(verdicts(GFWidth(), width_data()).values())


def test_spoiled_widths():
    data = width_data()
    data["flow"][:, -1] = 0.5
    assert not verdicts(GFWidth(), data)["convergence has a transition in the width"]
    data = width_data()
    data["flow"][2] = data.flow[0]
    assert not verdicts(GFWidth(), data)["the transition moves to wider networks as m grows"]
    data = width_data()
    data["descent_run"][:, 1] = ~data.descent_run[:, 1]
    assert not verdicts(GFWidth(), data)["gradient descent at γ = 1/L has the flow's transition"]
    data = width_data()
    data["descent_time"] = 1.2 * data.descent_time
    assert not verdicts(GFWidth(), data)["they fit the data at the same time, in the median"]
    data = width_data()
    data["flow"][2] = 0.4
    # Half of the flows never converge with m = 3, at less than half with m = 1: no order is known.
    data["flow"][0] = 0.4
    assert not verdicts(GFWidth(), data)["the transition moves to wider networks as m grows"]


LEVELS = np.array([0.01, 0.1])
TAU = np.concatenate([[0.0], np.logspace(-3, 1, 81)])


def stopping_data():
    """Errors that fall to the oracle's, and after τ = 1.2 rise to its triple; L0 is below 1."""
    level = LEVELS[None, :, None, None]
    fall = np.exp(-20 * TAU)
    error = np.maximum(fall, level) + 2 * level * (TAU > 1.2)
    shape = (2, 2, 3, len(TAU))
    full = np.broadcast_to
    dims = ("setting", "noise", "trial")
    theorem = full(np.log(1 / LEVELS)[None, :, None], shape[:3])
    noise = full(level[..., 0], shape[:3])
    # The oracle's exponent is below the end's.
    error = np.where(TAU < 1.2, error * LEVELS[None, :, None, None] ** -0.05, error)
    parts = {name: ((*dims, "record"), full(x, shape).copy()) for name, x in {
        "tau": TAU, "error": error, "prediction": fall, "residual": fall + level * 0.9,
    }.items()}  # fmt: skip
    parts |= {name: (dims, x.copy()) for name, x in {
        "theorem": theorem, "noise_norm": noise, "discrepancy": theorem / 10,
        "within": theorem / 20, "norm": np.ones(shape[:3]), "certified": noise > 0,
        "scale": np.full(shape[:3], 0.01),
    }.items()}  # fmt: skip
    return xr.Dataset(
        parts, coords={"noise": LEVELS, "setting": ["well conditioned", "ill-conditioned"]}
    )


def test_stopping():
    found = verdicts(GFEarlyStopping(), stopping_data())
    assert found == dict.fromkeys(found, True)
    assert len(found) == 7


def test_the_printed_time_has_its_last_term_without_the_factor():
    psi = MSE().desingularizer(jnp.zeros(2))
    start, noise, mu = 3.0, 0.2, 0.4
    exact = 4 / mu**2 * psi.Psi(psi.psi_inv(jnp.asarray(noise))) - psi.Psi(
        jnp.asarray(start**2 / 2)
    )
    scale = mu**2 / 4
    found = printed_time(*map(xr.DataArray, (start, noise, scale)))
    assert float(found) / scale == pytest.approx(float(exact))
    # With the factor on both terms it is t*.
    assert np.log(start / noise) == pytest.approx(
        float(printed_time(*map(xr.DataArray, (start, noise, 1.0))))
    )


def test_a_large_initial_loss_makes_the_printed_time_too_early():
    name = "the printed time is not before the proof's"
    data = stopping_data()
    # Ten times as much of everything: t* stays, the printed time falls behind it.
    for part in ("residual", "noise_norm"):
        data[part] = 10 * data[part]
    assert not verdicts(GFEarlyStopping(), data)[name]


@pytest.mark.parametrize(
    ("variable", "spoil", "name"),
    [
        ("prediction", lambda x: x + 3 * LEVELS[-1], "from t* on the prediction is within 2‖ε‖"),
        ("certified", lambda x: ~x, "from t* on the prediction is within 2‖ε‖"),
        ("within", lambda x: 30 * x, "t* is later than the moment that it bounds"),
        (
            "discrepancy",
            lambda x: 20 * x,
            "stopping times grow like ln(1/‖ε‖), no faster than t*",
        ),
        ("discrepancy", lambda x: x / 10, "the discrepancy principle is near the oracle"),
        (
            "error",
            lambda x: x.where(x.tau < 1.2, 1.1 * x.min("record")),
            "stopping is worth it where A is ill-conditioned",
        ),
        ("error", lambda x: x**0.5, "the error of the end is proportional to ‖ε‖"),
    ],
)
def test_spoiled_stopping(variable, spoil, name):
    data = stopping_data()
    values = data[variable].assign_coords(tau=data.tau) if variable == "error" else data[variable]
    data[variable] = spoil(values).transpose(*data[variable].dims).drop_vars("tau", errors="ignore")
    assert not verdicts(GFEarlyStopping(), data)[name]


KAPPAS = np.array([1.0, 10.0, 100.0])


def conditioning_data():
    """Ends at the noise times 1/σ; the discrepancy principle at less, the less the larger κ."""
    gain = np.sqrt(np.mean(KAPPAS[:, None] ** (2 * np.linspace(0, 1, 10)), axis=1))
    saved = np.array([0.9, 0.6, 0.3])
    curve = np.where(TAU < 1, saved[:, None], 1.0) * gain[:, None]
    full = np.broadcast_to
    dims, shape = ("operator", "kappa", "trial"), (2, 3, 4)
    error = full(0.05 * curve[None, :, None], (*shape, len(TAU)))
    parts = {"error": ((*dims, "record"), error.copy())}
    parts |= {"residual": ((*dims, "record"), np.zeros_like(error))}
    parts |= {"tau": ((*dims, "record"), full(TAU, error.shape).copy())}
    scale = full(KAPPAS[None, :, None] ** -2.0, shape)
    parts |= {name: (dims, x.copy()) for name, x in {
        "noise_norm": full(0.05, shape), "norm": np.ones(shape), "scale": scale,
        "discrepancy": 0.1 * scale**0.25,
    }.items()}  # fmt: skip
    return xr.Dataset(
        parts, coords={"kappa": KAPPAS, "operator": ["linear", "cubic"]}, attrs={"n": 10}
    )


def test_conditioning():
    found = verdicts(GFConditioning(), conditioning_data())
    assert found == dict.fromkeys(found, True)
    assert len(found) == 6


@pytest.mark.parametrize(
    ("variable", "factor", "name"),
    [
        ("error", 3.0, "check: the bound lies above the error throughout"),
        ("error", 1.5, "fitted to the end, the error is the noise times 1/σ (linear F)"),
        ("error", 0.5, "fitted to the end, the error is the noise times 1/σ (linear F)"),
        ("error", 1.5, "fitted to the end, the error is the noise times 1/σ (cubic F)"),
        ("discrepancy", 1e3, "stopping saves most where F is nearly singular (cubic F)"),
        ("scale", None, "the time to stop grows more slowly than the theorem's κ²"),
    ],
)
def test_spoiled_conditioning(variable, factor, name):
    data = conditioning_data()
    # None: times that grow faster than κ².
    data[variable] = data[variable] * factor if factor else data.scale**1.5
    assert not verdicts(GFConditioning(), data)[name]


def follow_up_data():
    rise = np.array([0.1, 0.4, 0.8, 1, 1])
    fast = np.array([0.2, 0.6, 0.9, 1, 1])
    parts = shares("by_activation", ("activation", "k"), [rise, *[fast] * (len(_NAMES) - 1)])
    parts |= shares("by_deviation", ("deviation", "k"), [rise, rise, rise])
    parts |= shares("by_both", ("both", "k"), [rise, fast])
    coords = {"activation": list(_NAMES), "deviation": [0.1, 1.0, 10.0], "both": list(_LAYERS)}
    return xr.Dataset(parts, coords={**coords, "k": WIDTHS})


def test_open_questions():
    found = verdicts(GFFollowUps(), follow_up_data())
    assert found == dict.fromkeys(found, True)
    assert len(found) == 5


@pytest.mark.parametrize(
    ("variable", "row", "values", "name"),
    [
        (
            "by_activation",
            2,
            [0, 0, 0, 0.1, 0.9],
            "every smooth activation converges in a wide network",
        ),
        (
            "by_activation",
            6,
            [0, 0, 0, 0.1, 0.9],
            "so does ReLU, of which the theorems do not speak",
        ),
        (
            "by_activation",
            3,
            [0, 0, 0.4, 1, 1],
            "activations of wider range need narrower networks than the sigmoid",
        ),
        ("by_deviation", 2, [0, 0, 0, 0.6, 1], "the initial variance hardly matters"),
        ("by_both", 1, [0, 0, 0.4, 1, 1], "training both layers needs no wider network"),
    ],
)
def test_spoiled_open_questions(variable, row, values, name):
    data = follow_up_data()
    data[variable][row] = values
    assert not verdicts(GFFollowUps(), data)[name]


def test_curves_that_coincide_are_named():
    def caption(data):
        return GFFollowUps().draw(data)["figure"].get_supxlabel().replace("\n", " ")

    assert "deviations 0.1, 1, 10 coincide" in caption(follow_up_data())
    data = follow_up_data()
    data["by_deviation"][0, 1] = 0.3
    assert "deviations 1, 10 coincide" in caption(data)
    data["by_deviation"][2, 1] = 0.3
    assert "coincide" not in caption(data)
