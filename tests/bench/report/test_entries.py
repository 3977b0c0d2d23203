"""Means, deviations and harmonic means, against numbers worked out by hand."""

from collections.abc import Mapping
from statistics import mean, stdev

import pandas as pd
import pytest

from crossprompt.bench.report.entries import (
    Measured,
    Quoted,
    average,
    harmonic,
    measure,
    minus,
    over_seeds,
    plain,
)


def frame(**sets: Mapping[int, float]) -> pd.DataFrame:
    """Scores of one series: test set to seed to accuracy."""
    rows = [("dcp", test, seed, value) for test, xs in sets.items() for seed, value in xs.items()]
    return pd.DataFrame(rows, columns=["series", "test", "seed", "accuracy"], dtype=object)


def averaged(names: list[str], **sets: Mapping[int, float]) -> Measured | None:
    return measure(average(frame(**sets), "test", names, ["series"]), ["series"], 3).get("dcp")


def test_the_deviation_is_that_of_a_sample() -> None:
    found = measure(frame(test={3: 0.70, 1: 0.50, 2: 0.60}), ["series", "test"], 3)["dcp", "test"]
    # ((0.1)^2 + 0 + (0.1)^2) / (3 - 1) = 0.01
    assert found.deviation == pytest.approx(0.1)
    assert plain(found) == "60.00 ± 10.00"
    assert list(found.seeds) == [1, 2, 3]


def test_a_single_seed_and_fewer_seeds_are_marked() -> None:
    assert plain(over_seeds({2: 0.5}, 1)) == "50.00 ± 0.00*"
    assert plain(over_seeds({2: 0.5}, 3)) == "50.00 ± 0.00*"
    assert plain(over_seeds({1: 0.5, 2: 0.5}, 3)) == "50.00 ± 0.00†"
    assert plain(None) == "\u2013"


def test_the_average_is_of_each_seed_and_its_deviation_of_the_averages() -> None:
    found = averaged(["a", "b"], a={1: 0.2, 2: 0.4}, b={1: 0.6, 2: 0.6, 3: 0.9}, c={1: 1.0})
    assert found is not None
    assert found.seeds == pytest.approx({1: 0.4, 2: 0.5})  # seed 3 was not run on both
    assert found.mean == pytest.approx(0.45)
    assert found.deviation == pytest.approx(stdev([0.4, 0.5]))
    assert found.mark == "†"


def test_an_average_over_what_was_not_run_is_missing() -> None:
    assert averaged(["a", "b"], a={1: 0.2}) is None
    assert averaged([], a={1: 0.2}) is None
    assert averaged(["a", "b"], a={1: 0.2}, b={2: 0.2}) is None


def test_the_harmonic_mean_is_that_of_the_means() -> None:
    found = harmonic(over_seeds({1: 0.8, 2: 0.4}, 2), over_seeds({1: 0.2, 2: 0.6}, 2))
    # of 0.6 and 0.4: 2 * 0.24 / 1.0; of the seeds: 2 * 0.16 / 1.0 and 2 * 0.24 / 1.0
    assert found.mean == pytest.approx(0.48)
    assert found.mean != pytest.approx(mean([0.32, 0.48]))
    assert found.deviation == pytest.approx(stdev([0.32, 0.48]))
    assert harmonic(over_seeds({1: 0.0}, 1), over_seeds({1: 0.0}, 1)).mean == 0


def test_a_difference_is_taken_seed_by_seed() -> None:
    left = over_seeds({1: 0.5, 2: 0.6, 3: 0.9}, 3)
    found = minus(left, over_seeds({1: 0.6, 2: 0.8}, 3))
    assert found is not None
    assert found.mean == pytest.approx(-0.15)
    assert found.deviation == pytest.approx(stdev([0.1, 0.2]))
    assert plain(found) == "-15.00 ± 7.07†"
    assert plain(minus(over_seeds({1: 0.51}, 1), over_seeds({1: 0.5}, 1))) == "+1.00 ± 0.00*"
    assert minus(left, None) is None
    assert minus(left, over_seeds({4: 0.5}, 3)) is None


def test_quoted_numbers_keep_the_digits_that_were_published() -> None:
    assert plain(Quoted(72.5, 1)) == "72.5"
    assert plain(Quoted(74.9)) == "74.90"
