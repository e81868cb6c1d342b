"""The verdicts of Figure 2 of arXiv 2005.03991 turn when its numbers are spoiled."""

import jax
import numpy as np
import pytest

from jaxdip.experiments import CS2, Lab


@pytest.fixture(scope="module")
def data():
    return CS2(n=60, width=4.0).run(Lab(jax.random.key(0)))


def verdicts(data):
    return {claim.name: claim.holds for claim in CS2(n=60).claims(data)}


def test_the_basis_holds_and_the_two_orders_differ(data):
    assert list(verdicts(data).values()) == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("variable", "place", "name"),
    [
        ("basis", (3, 4), "the functions of (10) are orthonormal"),
        (
            "kernel_in_basis",
            (3, 4),
            "they diagonalise the expected J Jᵀ, with the squares of (11)",
        ),
        ("ramp_values", (5,), "the ramp's singular values come in equal pairs"),
    ],
)
def test_a_spoiled_entry_turns_a_verdict(data, variable, place, name):
    spoiled = data.copy(deep=True)
    spoiled[variable][place] = 1.01 * spoiled[variable][place] + 1e-3
    assert verdicts(data)[name]
    assert not verdicts(spoiled)[name]


def test_vectors_in_the_order_of_10_would_be_told(data):
    same = data.copy(deep=True)
    same["ramp_energy"] = (same.ramp_energy.dims, np.eye(60))
    assert verdicts(same)["the numbers of the caption are those of (10)"]
    same["frequency"] = (same.frequency.dims, np.arange(60))
    assert verdicts(same)["w_1, …, w_p of (10) are the p lowest frequencies"]
