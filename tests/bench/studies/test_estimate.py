"""What a study is estimated to take, without clocks."""

import pytest

from benchmarks.workload import make_tokenizer
from crossprompt.bench.grid import Cell
from crossprompt.bench.studies import estimate as estimating
from crossprompt.bench.studies import probe
from crossprompt.bench.studies.estimate import Estimate, estimate, total
from crossprompt.bench.studies.names import IMAGENET_TOKENS, made_up_names
from crossprompt.bench.studies.parts import parts_of
from crossprompt.bench.studies.probe import Cost
from crossprompt.bench.studies.study import STUDIES
from crossprompt.clip.model import CLIP
from crossprompt.data.benchmarks.catalog import BENCHMARKS
from crossprompt.methods import Method, build_method
from tests.backbone import even_clip

DCP = STUDIES["dcp"]
SHIFTED = 10_000 + 50_889 + 7_500 + 30_000
"""Images of ImageNet's four shifted sets."""


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """Measures nothing: a step is 2 s, a batch 3 s, or 5 s as was published; who asked."""
    asked: list[Cell] = []

    def known(cell: Cell, clip: CLIP) -> Cost:
        asked.append(cell)
        return Cost(step=2.0, encode=3.0, score=5.0, memory=7e9, learned=1_000_000)

    monkeypatch.setattr(estimating, "measure", known)
    monkeypatch.setattr(estimating, "held_memory", lambda device: 1e9)
    return asked


def of(*datasets: str, say: list[str] | None = None) -> list[Estimate]:
    parts = parts_of(DCP.cells("tiny", "fp32", datasets))
    return estimate(parts, even_clip(), [].append if say is None else say.append)


def test_time_memory_and_disk_follow_from_published_sizes(costs: list[Cell]) -> None:
    said: list[str] = []
    (textures,) = of("dtd", say=said)
    assert said == ["measuring a step with the 47 classes of dtd"]
    assert len(textures.part.trainings) == 15
    steps = 3 * 20 * sum(shots * 47 // 4 for shots in (1, 2, 4, 8, 16))
    assert textures.part.steps == steps
    assert textures.part.tests == 15 * 2 * 1_692
    hours = (2 * steps + 15 * (3 + 5) * 1_692 / 16) / 3600
    assert textures.hours == pytest.approx(hours, abs=0.01)
    assert textures.peak_gb == 8.0
    assert textures.disk_mb == pytest.approx((30 * 20_000 + 2 * 1_000_000) / 1e6)
    assert total([textures, textures]) == {
        "hours": round(2 * textures.hours, 1),
        "peak_gb": 8.0,
        "disk_mb": round(2 * textures.disk_mb, 1),
    }


def test_imagenet_at_most_shots_is_a_part_of_its_own_with_its_shifted_sets(
    costs: list[Cell],
) -> None:
    few, most = of("imagenet")
    assert (few.part.title, most.part.title) == ("imagenet", "imagenet, shifted")
    assert {cell.shots for cell in few.part.cells} == {1, 2, 4, 8}
    assert {cell.shots for cell in most.part.cells} == {16}
    assert few.part.tests == 12 * 2 * 50_000
    assert most.part.tests == 3 * 2 * (50_000 + SHIFTED)
    assert most.part.steps == 3 * 20 * 16_000 // 4
    assert most.to_json()["protocol"] == "domain-generalisation"
    assert len(costs) == 1  # a step takes both as long


def test_a_recipe_that_the_study_sets_is_what_is_estimated(costs: list[Cell]) -> None:
    cells = [
        Cell("few-shot", "dtd", "dcp", "tiny", "fp32", 1, 1, training={"epochs": 3, **more})
        for more in ({}, {"batch_size": 47})
    ]
    (part,) = parts_of(cells)
    assert [training.steps for training in part.trainings] == [3 * 11, 3]


def test_nothing_to_do_takes_nothing() -> None:
    assert total([]) == {"hours": 0, "peak_gb": 0.0, "disk_mb": 0}


def test_a_step_is_measured_with_the_published_number_of_classes(monkeypatch) -> None:
    clip, (cell, *_) = even_clip(), DCP.cells("tiny", "fp32", ["eurosat"])
    asked: list[int] = []

    def build(name: str, clip: CLIP, names: list[str], options: object) -> Method:
        asked.append(len(names))
        return build_method(name, clip, names)

    monkeypatch.setattr(probe, "build_from", build)
    cost = probe.measure(cell, clip)
    assert asked == [BENCHMARKS["eurosat"].classes]
    assert min(cost.step, cost.encode, cost.score, cost.memory) > 0
    learned = build_method("dcp", clip, ["a", "b"]).parameters()
    assert cost.learned == sum(x.nbytes for x in learned)


def test_made_up_names_are_different_and_as_long_as_those_of_imagenet() -> None:
    tokenizer = make_tokenizer()
    names = made_up_names(1000, tokenizer)
    assert len(set(names)) == 1000
    counts = [len(tokenizer.encode(name)) for name in names]
    assert {count: counts.count(count) for count in counts} == IMAGENET_TOKENS
    few = [len(tokenizer.encode(name)) for name in made_up_names(100, tokenizer)]
    assert sum(few) / 100 == pytest.approx(sum(counts) / 1000, abs=0.1)
    poor = even_clip().tokenizer  # which knows few words
    assert len(set(made_up_names(1000, poor))) == 1000
