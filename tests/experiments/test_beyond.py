"""The verdicts of the experiments beyond the papers turn when their numbers are spoiled."""

import numpy as np
import pytest
import xarray as xr

from jaxdip.experiments import APosteriori, Certified, EdgeOfStability, ODEDiscrete
from jaxdip.sweeps import wilson


def shares(name, dims, values, trials=50):
    values = np.asarray(values, float)
    low, high = wilson(np.round(values * trials), np.full(values.shape, trials))
    return {name + end: (dims, x) for end, x in (("", values), ("_low", low), ("_high", high))}


def verdicts(experiment, data):
    return {claim.name: claim.holds for claim in experiment.claims(data)}


def certified_data():
    converge = [[0.2, 1, 1], [0.0, 0.9, 1], [0, 0.6, 1], [0, 0.9, 1]]
    recover = np.array(converge) * np.array([0, 0, 1, 1])[:, None]
    holds = [[0, 0, 1, 1, 1], [0, 0, 0.2, 1, 1], [0, 0, 0, 0, 0.6], [0, 0, 0, 1, 1]]
    parts = shares("convergent", ("m", "k"), converge)
    parts |= shares("recovering", ("m", "k"), recover)
    parts |= shares("certified", ("m", "wide"), holds)
    coords = {"m": [1, 4, 5, 8], "k": [10, 100, 1000], "wide": 10.0 ** np.arange(2, 7)}
    return xr.Dataset(parts, coords=coords)


def test_frontiers():
    found = verdicts(Certified(), certified_data())
    assert found == dict.fromkeys(found, True)
    assert len(found) == 4


@pytest.mark.parametrize(
    ("variable", "place", "value", "name"),
    [
        (
            "certified",
            (0, slice(None)),
            1.0,
            "the certificate asks for decades more width than convergence",
        ),
        ("recovering", (1, 2), 0.2, "with m < n hardly any run recovers, whatever the width"),
        ("recovering", (3, 2), 0.5, "with m > n about as many runs recover as converge"),
        ("certified", (3, 3), 0.1, "the certificate is dearest at m = n"),
    ],
)
def test_spoiled_frontiers(variable, place, value, name):
    data = certified_data()
    data[variable][place] = value
    if name.endswith("m = n"):
        data["certified"][2, 3] = 0.9
    if name.endswith("than convergence"):
        data["certified"][0, 0] = 0.0
        data["convergent"][0, 0] = 0.0
        data["convergent"][0, 1] = 0.0
    assert not verdicts(Certified(), data)[name]


def test_the_dearest_certificate_is_asked_of_a_square_operator():
    name = "the certificate is dearest at m = n"
    assert not verdicts(Certified(), certified_data().sel(m=[1, 4, 8]))[name]
    data = certified_data()
    # Beyond every width that was tried.
    data["certified"][2] = 0.0
    assert verdicts(Certified(), data)[name]


def test_a_square_operator_does_not_decide_whether_runs_recover():
    data = certified_data()
    data["recovering"][2, 1] = 0.3
    assert verdicts(Certified(), data)["with m > n about as many runs recover as converge"]


def posterior_data():
    tau = np.linspace(0, 12, 50)
    dims, shape = ("k", "trial", "record"), (2, 3, 50)
    full = np.broadcast_to
    curves = {"loss": np.exp(-2.5 * tau), "posterior": np.exp(-2 * tau), "prior": np.exp(-tau / 4)}
    parts = {name: (dims, full(x, shape).copy()) for name, x in curves.items()}
    data = xr.Dataset(parts, coords={"k": [30, 3000], "record": tau})
    return data.assign(certified=(dims[:2], np.array([[False] * 3, [True] * 3])))


def test_bounds():
    found = verdicts(APosteriori(), posterior_data())
    assert found == dict.fromkeys(found, True)
    assert len(found) == 4


def test_spoiled_bounds():
    data = posterior_data()
    data["posterior"][0, 1, 9] *= 1e-6
    found = verdicts(APosteriori(), data)
    assert not found["the run's own bound lies above the loss throughout"]
    assert found["the theorem's bound lies above the loss throughout"]
    data = posterior_data()
    data["prior"][1, 1, 9] *= 1e-6
    assert not verdicts(APosteriori(), data)["the theorem's bound lies above the loss throughout"]
    data = posterior_data()
    data["prior"][0, 1, 9] *= 1e-6
    assert verdicts(APosteriori(), data)["the theorem's bound lies above the loss throughout"]
    data = posterior_data()
    data["posterior"] = data.prior
    found = verdicts(APosteriori(), data)
    assert not found["the run's own bound explains most of the decay"]
    assert not found["it speaks where the theorem is silent"]


def edge_data():
    c = np.array([0.5, 1.5, 2.0])
    step = np.array([0, 1, 10, 100])
    ends = np.array([0.5, 0.9, 0.95])
    sharp = np.stack([c, c, ends, ends], axis=-1)[:, None].repeat(4, axis=1)
    loss = np.broadcast_to(np.array([1.0, 2.0, 1e-3, 1e-12]), (3, 4, 4))
    dims = ("c", "trial", "step")
    return xr.Dataset(
        {
            "loss": (dims, loss.copy()),
            "sharpness": (dims, sharp),
            "stable": (dims[:2], np.full((3, 4), 3.0)),
        },
        coords={"c": c, "step": step},
    )


def test_edge():
    found = verdicts(EdgeOfStability(), edge_data())
    assert found == dict.fromkeys(found, True)
    assert len(found) == 5


@pytest.mark.parametrize(
    ("variable", "place", "value", "name"),
    [
        ("sharpness", (0, slice(None), 2), 0.2, "well below the edge the kernel hardly moves"),
        ("loss", (slice(1, 3), slice(0, 3), 3), 1.0, "training converges beyond 2/λ_max(K₀)"),
        ("sharpness", (1, 2, 3), 1.1, "what has converged is inside the edge"),
        ("sharpness", (2, slice(None), 3), 0.4, "it settles at the edge"),
        (
            "stable",
            (0, slice(None)),
            0.9,
            "the largest stable step is beyond the linear prediction",
        ),
    ],
)
def test_spoiled_edge(variable, place, value, name):
    data = edge_data()
    data[variable][place] = value
    assert not verdicts(EdgeOfStability(), data)[name]


def order_data():
    h = 0.25 / 2.0 ** np.arange(4)
    full = np.broadcast_to
    dims, shape = ("dynamics", "k", "trial"), (2, 3, 5)
    parts = {name: ((*dims, "halving"), full(x, (*shape, 4)).copy()) for name, x in {
        "signal": 0.1 * h, "theta": 0.3 * h, "step": h,
    }.items()}  # fmt: skip
    parts["signal_extrapolated"] = ((*dims, "coarse"), full(0.2 * h[:-1] ** 2, (*shape, 3)).copy())
    return xr.Dataset(parts, coords={"k": [30, 100, 300], "dynamics": ["gd", "igahd"]})


def test_orders():
    found = verdicts(ODEDiscrete(), order_data())
    assert found == dict.fromkeys(found, True)
    assert len(found) == 6


@pytest.mark.parametrize("place", [0, 1])
def test_spoiled_orders(place):
    method = ("gd", "igahd")[place]
    data = order_data()
    data["signal"][place, 2, :, -1] *= 1.5
    data["signal_extrapolated"][place, 1, :, -1] *= 1.5
    found = verdicts(ODEDiscrete(), data)
    assert not found[f"first order at every width ({method})"]
    assert not found[f"second order after extrapolation ({method})"]
    assert found[f"first order at every width ({('igahd', 'gd')[place]})"]
    data = order_data()
    data["signal"][place] = data.signal[place] * data.k**0.5
    assert not verdicts(ODEDiscrete(), data)[f"the gap tends to a constant in k ({method})"]
