"""The estimates of GPU times."""

import pytest

from jaxdip.experiments import EXPERIMENTS
from jaxdip.experiments._gpu_estimate import AS_ON_CPU, by_launches, of_decoder, of_two_layer


def test_launches_by_hand():
    # 100 000 iterations of 52 batches at 20 µs are 104 s.
    assert by_launches(steps=100_000, batches=52) == "about 2 min"
    assert by_launches(steps=25_000, batches=44) == "about 20 s"


def test_traffic_by_hand():
    # 2 · 8 · 4096 · 10⁴ bytes at 3.36 TB/s are 195 µs a step.
    assert of_two_layer(side=64, width=10_000, steps=1000) == "seconds"
    assert of_two_layer(side=64, width=10_000, steps=10_000_000) == "about 30 min"
    # 30 · 1024 · 100 000 bytes are 0.9 ms, the launches 1.2 ms.
    assert of_decoder(steps=400_000) == "about 10 min"


@pytest.mark.parametrize("kind", EXPERIMENTS, ids=lambda kind: kind.name)
def test_each_paper_preset_has_an_estimate(kind):
    told = kind.costs["paper"].gpu
    assert told in (AS_ON_CPU, "seconds") or told.startswith("about ")
