"""Training images and test sets of each protocol."""

from pathlib import Path

import pytest

from crossprompt.bench.protocols import PROTOCOLS, Trial
from crossprompt.data import Dataset, Split
from crossprompt.errors import RequestError

NAMES = ("ant", "bee", "cow", "dog", "eel")


def split(place: str, labels: list[int]) -> Split:
    return Split.of([f"{place}/{n}.png" for n in range(len(labels))], labels)


def dataset(names: tuple[str, ...] = NAMES, place: str = "own") -> Dataset:
    every = list(range(len(names)))
    backwards = every[::-1]  # so that the last classes are drawn first
    return Dataset(
        name=place,
        class_names=names,
        train=split(f"{place}/train", backwards * 6),
        val=split(f"{place}/val", backwards * 5),
        test=split(f"{place}/test", every * 2),
        shifted={"drawn": split(f"{place}/drawn", every)},
        template=f"a {{}} of {place}.",
    )


def trial(protocol: str, data: Dataset | None = None, **others: Dataset) -> Trial:
    return PROTOCOLS[protocol].trial("own", data or dataset(), others, shots=2, seed=3)


def described(found: Trial) -> list[tuple[str, str, tuple[str, ...], str, int]]:
    return [(x.name, x.dataset, x.class_names, x.classes, len(x.split)) for x in found.evaluations]


def test_few_shot_tests_the_data_set_and_its_shifted_sets() -> None:
    found = trial("few-shot")
    assert described(found) == [
        ("test", "own", NAMES, "same", 10),
        ("drawn", "own", NAMES, "same", 5),
    ]
    assert found.few == dataset().few_shot(2, 3)


def test_domain_generalisation_tests_other_data_sets_among_their_own_classes() -> None:
    target = dataset(("dog", "ant"), "other")
    found = trial("domain-generalisation", other=target)
    assert described(found) == [
        ("test", "own", NAMES, "same", 10),
        ("drawn", "own", NAMES, "same", 5),
        ("other", "other", ("dog", "ant"), "some", 4),
    ]
    assert found.evaluations[2].split == target.test


def test_imagenet_has_its_four_variants_unless_others_are_chosen() -> None:
    protocol = PROTOCOLS["domain-generalisation"]
    variants = ("imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r")
    assert protocol.other_datasets("imagenet", ()) == variants
    assert protocol.other_datasets("imagenet", ("imagenetv2",)) == ("imagenetv2",)
    assert protocol.other_datasets("emoji", ()) == ()


def test_base_to_new_divides_the_classes_after_the_draw_and_labels_both_from_zero() -> None:
    found = trial("base-to-new")
    assert described(found) == [
        ("base", "own", NAMES[:3], "same", 6),
        ("new", "own", NAMES[3:], "other", 4),
    ]
    base, new = found.evaluations
    assert base.split.labels == (0, 1, 2, 0, 1, 2)
    assert new.split.labels == (0, 1, 0, 1)
    assert [path.name for path in new.split.paths] == ["3.png", "4.png", "8.png", "9.png"]
    everything = dataset().few_shot(2, 3)
    assert found.few.train.paths == everything.subset("base").train.paths
    assert found.few.val.paths == everything.subset("base").val.paths
    assert found.few.class_names == NAMES[:3]
    assert set(found.few.train.labels) == {0, 1, 2}


def test_cross_dataset_tests_others_with_their_names_and_templates() -> None:
    found = trial("cross-dataset", birds=dataset(("owl", "jay"), "birds"))
    assert described(found) == [
        ("test", "own", NAMES, "same", 10),
        ("birds", "birds", ("owl", "jay"), "other", 4),
    ]
    assert found.evaluations[1].template == "a {} of birds."
    protocol = PROTOCOLS["cross-dataset"]
    assert protocol.targets("a", (), ("a", "b", "c")) == ["b", "c"]
    assert protocol.targets("a", ("a", "z"), ("a", "b")) == ["z"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_is_learned_from_or_chosen_with_test_images(protocol) -> None:
    found = trial(protocol, birds=dataset(("bee", "cow"), "birds"))
    learned = {*found.few.train.paths, *found.few.val.paths}
    tested = {path for x in found.evaluations for path in x.split.paths}
    assert {path.parent for path in learned} <= {Path("own/train"), Path("own/val")}
    assert {path.parent.name for path in tested} <= {"test", "drawn"}


@pytest.mark.parametrize(
    ("protocol", "data", "others", "match"),
    [
        ("domain-generalisation", Dataset("x", NAMES), {}, "--targets"),
        (
            "domain-generalisation",
            None,
            {"zoo": dataset(("cow", "emu"))},
            "zoo.*emu.*cross-dataset",
        ),
        ("base-to-new", dataset(NAMES[:3]), {}, "3 classes.*at least 4"),
        ("cross-dataset", None, {}, "--targets"),
    ],
)
def test_data_that_does_not_suit_the_protocol_is_an_error(protocol, data, others, match) -> None:
    with pytest.raises(RequestError, match=match):
        trial(protocol, data, **others)
