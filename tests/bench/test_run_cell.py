"""Training and measurement of a run."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from crossprompt.bench.loaders import load_data
from crossprompt.bench.run_cell import Trained, Training, in_order, prepare, restrict
from crossprompt.bench.task import Outcome, attempt, fixed_threads
from crossprompt.classifier.classifier import freeze
from crossprompt.classifier.evaluate import summarize
from crossprompt.data import Split
from crossprompt.errors import RequestError
from crossprompt.methods import METHODS
from crossprompt.methods.base import Method
from crossprompt.methods.features import read_batches
from crossprompt.training.checkpoint import STATE, Checkpoint
from crossprompt.training.config import FitConfig
from crossprompt.training.fit import fit
from tests.backbone import even_clip
from tests.bench.cells import FOUR, TRAINING, a_cell, a_task, four_classes
from tests.conftest import write_photos
from tests.data.fake_benchmarks import FAKES

pytestmark = pytest.mark.slow

OPTIONS = {"dcp": {"length": 2}, "coop": {"length": 2}}


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    return str(four_classes(tmp_path_factory.mktemp("data") / "pets"))


def computed(output, *cells) -> Outcome:
    return attempt(a_task(output, *cells), lambda task: even_clip())


def results_of(outcome: Outcome) -> dict:
    assert outcome.error is None, outcome.details
    return {result["name"]: result for result in outcome.lines[0]["results"]}


def trained_cell(pets, **changes):
    values = {"dataset": pets, "shots": 2, "options": {"length": 2}, "training": TRAINING}
    return a_cell(**{**values, **changes})


def without_times(outcome: Outcome) -> list[dict]:
    return [{**line, "seconds": None} for line in outcome.lines]


@pytest.mark.parametrize("method", METHODS)
def test_a_few_shot_cell_is_what_fit_does(method, pets, backbone, tmp_path) -> None:
    options = OPTIONS.get(method, {})
    training = TRAINING if METHODS[method].recipe(2).trains else {}
    cell = trained_cell(pets, method=method, options=options, training=training)
    job = FitConfig(pets, method, backbone, 2, options=options, training=training, dtype="fp32")
    with fixed_threads(1):
        _, expected = fit(job)
    found = results_of(computed(tmp_path, cell))["test"]
    result = expected["test"].to_json()
    assert found["dataset"] == pets
    assert [found[key] for key in ("accuracy", "n", "macro_f1", "per_class")] == [
        result[key] for key in ("accuracy", "n", "macro_f1", "per_class")
    ]
    assert found["ece"] == pytest.approx(result["ece"], abs=1e-5)


def test_a_line_holds_what_the_result_depends_on(pets, tmp_path) -> None:
    cell = trained_cell(pets, method="dcp")
    (line,) = computed(tmp_path, cell).lines
    assert json.loads(json.dumps(line)) == {
        **line,
        "results": json.loads(json.dumps(line["results"])),
    }
    assert line["cell"] == cell.to_json()
    (result,) = line["results"]
    assert set(result) == {
        *("name", "dataset", "accuracy", "interval", "macro_f1", "ece", "n", "per_class")
    }
    settings = line["settings"]
    assert settings["method"]["depth"] == 9
    assert settings["training"]["epochs"] == 2
    assert settings["training"]["lr"] == 0.0035
    assert settings["training"]["augment"] is True
    assert settings["training"]["seed"] == 1
    assert settings["threads"] == 1
    method = trained(pets, tmp_path, cell).runs[0].method
    assert line["trained_parameters"] == sum(p.numel() for p in method.parameters())
    assert line["classifier_bytes"] > 4 * len(FOUR) * even_clip().config.embed
    assert line["weights_hash"] == even_clip().weights_hash
    assert line["data_fingerprint"] == load_data(pets, None).fingerprint
    assert {"crossprompt", "torch", "python"} <= set(line["versions"])
    assert set(line["seconds"]) == {"train", "evaluate"}
    assert not (tmp_path / "cells" / cell.digest).exists()


def trained(pets, tmp_path, cell) -> Trained:
    return prepare(Training(cell, even_clip()), tmp_path / "states")


def test_cells_that_only_ask_otherwise_are_trained_once(pets, tmp_path, monkeypatch) -> None:
    trainings = []
    original = Checkpoint.begin
    monkeypatch.setattr(
        Checkpoint, "begin", lambda *given: trainings.append(given) or original(*given)
    )
    cells = [
        trained_cell(pets, method="dcp", inference=inference, **asked)
        for inference, asked in (
            ("calibrated", {}),
            ("per-image", {}),
            ("batch", {"test_batch_size": 3, "batch_order": "listed"}),
            ("batch", {"test_batch_size": 3, "batch_order": "shuffled"}),
        )
    ]
    outcome = computed(tmp_path, *cells)
    assert [line["cell"] for line in outcome.lines] == [cell.to_json() for cell in cells]
    assert len(trainings) == 1
    errors = [line["results"][0]["ece"] for line in outcome.lines]
    assert len(set(errors)) == 4  # the prompts are others
    alone = computed(tmp_path, cells[2])
    assert without_times(alone) == without_times(outcome)[2:3]


def test_images_are_listed_sorted_by_label_or_shuffled_by_the_seed() -> None:
    split = Split.of("abcdefgh", [2, 0, 1, 2, 0, 1, 2, 0])
    assert in_order(split, "listed", 1) == split
    assert "".join(map(str, in_order(split, "sorted", 1).paths)) == "behcfadg"
    shuffled = in_order(split, "shuffled", 1)
    assert shuffled == in_order(split, "shuffled", 1)
    assert len({shuffled.paths, in_order(split, "shuffled", 2).paths, split.paths}) == 3
    assert sorted(map(str, shuffled.paths)) == list("abcdefgh")


def test_the_batches_of_a_cell_are_those_of_its_order_and_size(pets, tmp_path) -> None:
    cell = trained_cell(
        pets, method="dcp", inference="batch", test_batch_size=5, batch_order="sorted"
    )
    found = results_of(computed(tmp_path, cell))["test"]
    method = trained(pets, tmp_path, cell.of_training).runs[0].method
    test = load_data(pets, None).test
    test = test.take(sorted(range(len(test)), key=lambda i: test.labels[i]))
    batches = read_batches(test.paths, even_clip().preprocess, 5)
    with torch.no_grad(), fixed_threads(1):
        scores = torch.cat([method(even_clip(), batch.images) for batch in batches])
    expected = summarize(scores.softmax(-1).numpy(), np.array(test.labels), FOUR)
    assert (found["accuracy"], found["ece"]) == (expected.accuracy, expected.ece)


@pytest.mark.parametrize("method", ["coop", "dcp", "linear_probe"])
def test_a_target_of_some_classes_is_scored_among_those_alone(method, pets, tmp_path) -> None:
    target = str(write_photos(tmp_path / "drawn", ("yorkshire_terrier", "dogs"), 6))
    options = OPTIONS.get(method, {})
    training = TRAINING if METHODS[method].recipe(2).trains else {}
    cell = trained_cell(
        pets,
        protocol="domain-generalisation",
        method=method,
        options=options,
        training=training,
        targets=(target,),
    )
    found = results_of(computed(tmp_path, cell))
    assert list(found) == ["test", target]
    data, few = load_data(target, None), load_data(pets, None).few_shot(2, 1)
    assert data.class_names == ("dogs", "yorkshire terrier")
    learned = trained(pets, tmp_path, cell).runs[0].method
    classifier = freeze(learned, even_clip(), few.train, val=few.val)
    (batch,) = read_batches(data.test.paths, even_clip().preprocess, 64)
    logits = classifier.logits(batch.images)[:, [1, 3]]
    right = (logits.argmax(-1) == torch.tensor(data.test.labels)).float().mean()
    assert found[target]["accuracy"] == pytest.approx(float(right))
    assert found[target]["n"] == len(data.test)
    assert set(found[target]["per_class"]) == {"dogs", "yorkshire terrier"}


def test_a_classifier_is_restricted_only_to_classes_that_it_knows(pets) -> None:
    few = load_data(pets, None).few_shot(1, 1)
    method = Training(trained_cell(pets, method="dcp"), even_clip()).resolve().method
    classifier = freeze(method, even_clip(), few.train)
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    some = restrict(classifier, ("dogs", "cat"))
    assert torch.equal(some.logits(images), classifier.logits(images)[:, [1, 0]])
    assert some.class_names == ("dogs", "cat")
    with pytest.raises(RequestError, match="'emu', 'fox'"):
        restrict(classifier, ("cat", "emu", "fox"))


@pytest.mark.parametrize("method", ["coop", "dcp", "zero_shot"])
def test_new_classes_are_asked_of_the_method_that_learned_the_base(method, pets, tmp_path) -> None:
    options = OPTIONS.get(method, {})
    training = TRAINING if METHODS[method].recipe(2).trains else {}
    cell = trained_cell(
        pets, protocol="base-to-new", method=method, options=options, training=training
    )
    found = results_of(computed(tmp_path, cell))
    assert list(found) == ["base", "new"]
    assert set(found["new"]["per_class"]) == {"hot air balloon", "yorkshire terrier"}
    learned = trained(pets, tmp_path, cell).runs[0].method
    assert learned.class_names == ("cat", "dogs")
    few = load_data(pets, None).few_shot(2, 1)
    renamed = learned.with_class_names(even_clip(), few.class_names[2:])
    classifier = freeze(renamed, even_clip(), few.subset("base").train)
    new = few.subset("new").test
    (batch,) = read_batches(new.paths, even_clip().preprocess, 64)
    right = (classifier.logits(batch.images).argmax(-1) == torch.tensor(new.labels)).float().mean()
    assert found["new"]["accuracy"] == pytest.approx(float(right))


@pytest.mark.parametrize("protocol", ["base-to-new", "cross-dataset"])
def test_a_method_that_learned_its_classes_does_not_apply_and_is_not_trained(
    protocol, pets, photos, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(
        "crossprompt.bench.run_cell.train_run", lambda *_, **__: pytest.fail("it was trained")
    )
    targets = (str(photos),) if protocol == "cross-dataset" else ()
    cell = trained_cell(pets, protocol=protocol, method="linear_probe", options={}, training={})
    outcome = computed(tmp_path, a_cell(**{**vars(cell), "targets": targets}))
    assert not outcome.applicable
    assert "weights of its own for every class" in (outcome.error or "")
    assert outcome.unfinished


def test_a_source_whose_published_list_lacks_a_class_does_not_apply(tmp_path) -> None:
    FAKES["domainnet"](tmp_path)
    path = tmp_path / "domainnet/splits/painting_train.txt"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "airplane" not in line))
    values = {"protocol": "domain-generalisation", "method": "zero_shot", "shots": 1}
    outcomes = [
        attempt(
            replace(
                a_task(tmp_path, a_cell(dataset=f"domainnet:{domain}", **values)),
                root=str(tmp_path),
            ),
            lambda task: even_clip(),
        )
        for domain in ("painting", "real")
    ]
    assert [outcome.applicable for outcome in outcomes] == [False, True]
    assert "names no image of 'airplane'" in str(outcomes[0].error)
    assert "painting" in results_of(outcomes[1])


def test_another_data_set_is_asked_with_its_own_names_and_template(
    pets, photos, tmp_path, monkeypatch
) -> None:
    asked: list[tuple] = []
    original = Method.with_class_names

    def remember(self, clip, class_names, **changes):
        asked.append((class_names, changes))
        return original(self, clip, class_names, **changes)

    monkeypatch.setattr(Method, "with_class_names", remember)
    values = {"protocol": "cross-dataset", "targets": (str(photos),), "training": {}}
    cell = trained_cell(pets, method="zero_shot", options={}, **values)
    found = results_of(computed(tmp_path, cell))
    assert list(found) == ["test", str(photos)]
    assert found[str(photos)]["dataset"] == str(photos)
    names = ("cat", "hot air balloon", "yorkshire terrier")
    assert asked[-1] == (names, {"template": ("a photo of a {}.",)})
    own = trained_cell(pets, method="zero_shot", options={"template": ("red {}",)}, **values)
    computed(tmp_path, own)
    assert asked[-1] == (names, {})


def test_a_training_that_was_interrupted_goes_on_to_the_same_line(
    pets, tmp_path, monkeypatch
) -> None:
    cell = trained_cell(pets, method="dcp", training={"epochs": 3, "batch_size": 4})
    expected = without_times(computed(tmp_path / "whole", cell))
    original = Checkpoint.save

    def save(self, reports):
        original(self, reports)
        if len(reports) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", save)
    with pytest.raises(KeyboardInterrupt):
        computed(tmp_path, cell)
    monkeypatch.undo()
    state = tmp_path / "cells" / cell.digest / STATE
    assert state.exists()
    begun = []
    original_begin = Checkpoint.begin

    def begin(*given):
        reports = original_begin(*given)
        begun.append(len(reports))
        return reports

    monkeypatch.setattr(Checkpoint, "begin", begin)
    assert without_times(computed(tmp_path, cell)) == expected
    assert begun == [2]
    assert not state.exists()


def test_a_state_that_is_damaged_is_trained_afresh(pets, tmp_path) -> None:
    cell = trained_cell(pets)
    expected = without_times(computed(tmp_path / "whole", cell))
    state = tmp_path / "cells" / cell.digest / STATE
    state.parent.mkdir(parents=True)
    state.write_bytes(b"no state")
    assert without_times(computed(tmp_path, cell)) == expected


def test_what_fails_is_told_in_one_line_and_leaves_no_state(pets, tmp_path) -> None:
    cell = trained_cell(pets, training={**TRAINING, "lr": 1e38})
    outcome = computed(tmp_path, cell)
    assert outcome.applicable
    assert re.fullmatch(
        r"the loss is nan in epoch 2, step \d; try a lower learning rate, as in coop:lr=0.001",
        outcome.error or "",
    )
    assert outcome.unfinished == [cell]
    assert list((tmp_path / "cells").iterdir()) == []


def test_cells_before_the_one_that_fails_are_kept(pets, tmp_path, monkeypatch) -> None:
    def fail(self, cell, original=Trained.measure):
        if cell.inference == "per-image":
            raise MemoryError("too  much")
        return original(self, cell)

    monkeypatch.setattr(Trained, "measure", fail)
    cells = [trained_cell(pets, inference=name) for name in ("calibrated", "per-image")]
    outcome = computed(tmp_path, *cells)
    assert len(outcome.lines) == 1
    assert outcome.unfinished == cells[1:]
    assert outcome.error == "MemoryError: too much"
    assert "Traceback" in outcome.details


def test_a_cell_computes_with_its_threads_whatever_the_process_has(
    pets, tmp_path, monkeypatch
) -> None:
    used = []
    original = Trained.measure
    monkeypatch.setattr(
        Trained,
        "measure",
        lambda *given: used.append(torch.get_num_threads()) or original(*given),
    )
    before = torch.get_num_threads()
    with fixed_threads(3):
        computed(tmp_path, trained_cell(pets, method="zero_shot", options={}, training={}))
        used.append(torch.get_num_threads())
    assert used == [1, 3]
    assert torch.get_num_threads() == before
