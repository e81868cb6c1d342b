"""The verdicts of Figure 3 of arXiv 2005.03991 turn when its numbers are spoiled."""

import jax
import numpy as np
import pytest

from jaxdip.experiments import CS3, Lab
from jaxdip.experiments._cs_3 import geometric_fit, power_fit


@pytest.fixture(scope="module")
def data():
    return CS3().run(Lab(jax.random.key(0)))


def claims(data):
    return {claim.name: claim for claim in CS3().claims(data)}


def test_laws_are_told_apart():
    rank = np.arange(30, 290)
    assert power_fit(rank, 3 * rank**-1.9)[0] == pytest.approx(-1.9)
    assert power_fit(rank, 3 * rank**-1.9)[1] == pytest.approx(0, abs=1e-10)
    assert np.exp(geometric_fit(rank, 0.97**rank)[0]) == pytest.approx(0.97)
    assert geometric_fit(rank, rank**-1.9)[1] > 0.1


def test_the_published_weights_are_squares_over_three_and_follow_a_power_law(data):
    found = claims(data)
    assert not found["the figure plots the σ of (11)"].holds
    for name, slope in (("triangular 10", -1.93), ("triangular 30", -1.68)):
        geometric = found[f"the weights decay geometrically ({name})"]
        assert not geometric.holds
        assert geometric.number == pytest.approx(slope, abs=0.006)
        assert found[f"σ² follows s/(4π sin²(π f/n)) ({name})"].holds
    assert found["the head decays geometrically (triangular 10)"].holds
    assert found["the head decays geometrically (triangular 10)"].number == pytest.approx(
        0.955, abs=1e-3
    )
    assert found["wider kernels concentrate on low frequencies"].holds


def test_spoiled_weights_turn_the_verdicts(data):
    spoiled = data.copy(deep=True)
    # As if σ itself had been printed, and had decayed geometrically.
    rank = np.minimum(np.arange(300), 300 - np.arange(300))
    spoiled["sigma"] = (data.sigma.dims, np.broadcast_to(0.96**rank, data.sigma.shape).copy())
    found = claims(spoiled)
    assert found["the weights decay geometrically (triangular 10)"].holds
    assert not found["σ² follows s/(4π sin²(π f/n)) (triangular 10)"].holds
    assert not found["wider kernels concentrate on low frequencies"].holds
    power = data.copy(deep=True)
    power["sigma"] = (data.sigma.dims, np.broadcast_to(1 / (1 + rank), data.sigma.shape).copy())
    assert not claims(power)["the head decays geometrically (triangular 10)"].holds
    printed = data.copy(deep=True)
    printed["sigma"] = data.sigma**2 / 3
    assert claims(printed)["the figure plots the σ of (11)"].holds
