"""Means, deviations and harmonic means, against numbers worked out by hand."""

from statistics import mean, stdev

import pytest

from crossprompt.bench.report.entries import (
    Measured,
    Quoted,
    average,
    harmonic,
    measured,
    minus,
    plain,
)

SEEDS = (1, 2, 3)


def test_the_deviation_is_that_of_a_sample() -> None:
    found = measured({1: 0.50, 2: 0.60, 3: 0.70}, SEEDS)
    # ((0.1)^2 + 0 + (0.1)^2) / (3 - 1) = 0.01
    assert found is not None
    assert found.deviation == pytest.approx(0.1)
    assert plain(found) == "60.00 ± 10.00"


def test_a_single_seed_and_fewer_seeds_are_marked() -> None:
    assert plain(measured({2: 0.5}, (2,))) == "50.00 ± 0.00*"
    assert plain(measured({2: 0.5}, SEEDS)) == "50.00 ± 0.00*"
    assert plain(measured({1: 0.5, 2: 0.5}, SEEDS)) == "50.00 ± 0.00†"
    assert plain(measured({}, SEEDS)) == "\u2013"


def test_the_average_is_of_each_seed_and_its_deviation_of_the_averages() -> None:
    first, second = ({1: 0.2, 2: 0.4}, {1: 0.6, 2: 0.6, 3: 0.9})
    found = average([measured(first, SEEDS), measured(second, SEEDS)], SEEDS)
    assert found is not None
    assert found.seeds == pytest.approx({1: 0.4, 2: 0.5})  # seed 3 was not run on both
    assert found.mean == pytest.approx(0.45)
    assert found.deviation == pytest.approx(stdev([0.4, 0.5]))
    assert found.mark == "†"


def test_an_average_over_what_was_not_run_is_missing() -> None:
    assert average([measured({1: 0.2}, SEEDS), None], SEEDS) is None
    assert average([], SEEDS) is None
    assert average([measured({1: 0.2}, SEEDS), measured({2: 0.2}, SEEDS)], SEEDS) is None


def test_the_harmonic_mean_is_that_of_the_means() -> None:
    base, new = measured({1: 0.8, 2: 0.4}, (1, 2)), measured({1: 0.2, 2: 0.6}, (1, 2))
    found = harmonic(base, new)
    assert found is not None
    # of 0.6 and 0.4: 2 * 0.24 / 1.0; of the seeds: 2 * 0.16 / 1.0 and 2 * 0.24 / 1.0
    assert found.mean == pytest.approx(0.48)
    assert found.mean != pytest.approx(mean([0.32, 0.48]))
    assert found.deviation == pytest.approx(stdev([0.32, 0.48]))
    assert harmonic(base, None) is None
    zero = harmonic(measured({1: 0.0}, (1,)), measured({1: 0.0}, (1,)))
    assert zero is not None
    assert zero.mean == 0


def test_a_difference_is_taken_seed_by_seed() -> None:
    found = minus(measured({1: 0.5, 2: 0.6, 3: 0.9}, SEEDS), measured({1: 0.6, 2: 0.8}, SEEDS))
    assert found is not None
    assert found.mean == pytest.approx(-0.15)
    assert found.deviation == pytest.approx(stdev([0.1, 0.2]))
    assert plain(found) == "-15.00 ± 7.07†"
    same = minus(measured({1: 0.51}, (1,)), measured({1: 0.5}, (1,)))
    assert plain(same) == "+1.00 ± 0.00*"
    assert minus(measured({1: 0.5}, SEEDS), None) is None
    assert minus(measured({1: 0.5}, SEEDS), measured({2: 0.5}, SEEDS)) is None


def test_quoted_numbers_keep_the_digits_that_were_published() -> None:
    assert plain(Quoted(72.5, 1)) == "72.5"
    assert plain(Quoted(74.9)) == "74.90"
    assert isinstance(measured({1: 1.0}, (1,)), Measured)
