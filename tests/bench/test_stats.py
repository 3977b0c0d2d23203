import pytest

from crossprompt.bench.results import deviation


def test_the_deviation_is_that_of_a_sample_and_none_of_a_single_value() -> None:
    assert deviation([0.2, 0.4, 0.6]) == pytest.approx(0.2)
    assert deviation([0.5]) == 0.0
