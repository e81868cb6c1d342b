"""Records at chosen steps, and what is read between them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import jaxdip as jd
from jaxdip.cli._records import crossing_time, record_steps
from jaxdip.cli._result_name import RESULT_NAMES, result_name


@given(st.integers(1, 5000), st.integers(1, 200))
def test_records_cover_the_run(steps, records):
    chosen = record_steps(steps, records)
    assert (chosen[0], chosen[-1]) == (0, steps)
    gaps = np.diff(chosen)
    assert (gaps > 0).all()
    assert len(gaps) <= min(records, steps)
    assert gaps.max() <= 2 * steps / records + 2
    if records >= steps:
        assert chosen == list(range(steps + 1))


def test_records_are_dense_early_and_even_late():
    chosen = np.array(record_steps(1500, 60))
    assert len(chosen) > 50
    assert np.sum(chosen <= 15) >= 8
    late = np.diff(chosen[chosen > 750])
    assert late.max() <= 1.3 * late.min()


def test_the_crossing_of_a_decaying_mode_does_not_depend_on_the_records():
    for time in (np.linspace(0, 9, 4), np.geomspace(0.1, 9, 7)):
        residual = 5 * np.exp(-0.7 * time)
        stop = int(np.argmax(residual <= 0.3))
        found = crossing_time(time, residual, stop, 0.3)
        np.testing.assert_allclose(found, np.log(5 / 0.3) / 0.7, rtol=1e-12)


def test_a_crossing_at_the_start_or_at_zero_is_the_record():
    time = np.array([0.0, 2.0])
    assert crossing_time(time, np.array([0.1, 0.05]), 0, 0.3) == 0.0
    assert crossing_time(time, np.array([1.0, 0.0]), 1, 0.3) == 2.0


def test_every_result_has_its_name():
    assert len(set(RESULT_NAMES)) == len(jd.RESULTS)
    for name in RESULT_NAMES:
        assert result_name(getattr(jd.RESULTS, name)) == name
