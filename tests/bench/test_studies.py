"""A paper's evaluation as grids."""

from collections import Counter
from pathlib import Path

import pytest

from crossprompt.bench.studies import FEW_SHOT, STUDIES, missing_data
from crossprompt.data.benchmarks.catalog import BENCHMARKS
from crossprompt.errors import RequestError
from tests.data.fake_benchmarks import FAKES

DCP = STUDIES["dcp"]


def test_the_study_is_every_data_set_at_every_number_of_shots_with_three_seeds() -> None:
    cells = DCP.cells("tiny", "fp32")
    trainings = {cell.of_training.key: cell for cell in cells}.values()
    assert len(trainings) == 11 * 5 * 3
    assert Counter(cell.dataset for cell in trainings) == dict.fromkeys(FEW_SHOT, 15)
    assert {(cell.shots, cell.seed) for cell in trainings} == {
        (shots, seed) for shots in (1, 2, 4, 8, 16) for seed in (1, 2, 3)
    }
    assert {(cell.inference, cell.test_batch_size, cell.batch_order) for cell in cells} == {
        ("calibrated", None, None),
        ("batch", 16, "listed"),
    }
    assert {str(cell.options) for cell in cells} == {"{'variant': 'released'}"}
    assert not any(cell.training for cell in cells)  # the published recipe
    assert {(cell.backbone, cell.dtype) for cell in cells} == {("tiny", "fp32")}
    shifted = [cell for cell in trainings if cell.protocol == "domain-generalisation"]
    assert {(cell.dataset, cell.shots) for cell in shifted} == {("imagenet", 16)}


def test_a_data_set_that_is_none_of_the_eleven_is_refused() -> None:
    with pytest.raises(RequestError, match="'pacs'"):
        DCP.cells("tiny", "fp32", ["pacs"])


def test_problems_with_the_data_are_listed_by_data_set(tmp_path: Path) -> None:
    FAKES["dtd"](tmp_path)
    problems = missing_data(["dtd", "imagenet"], tmp_path)
    assert set(problems) == {"dtd", "imagenet", *BENCHMARKS["imagenet"].shifted}
    assert "published" in " ".join(problems["dtd"])
