"""Lines are read as they are, or not at all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossprompt.bench.report import read_results
from crossprompt.errors import RequestError
from tests.bench.report.lines import batch, line, write_lines

Change = Callable[[dict[str, Any]], Any]


def test_a_line_is_read_with_everything_in_it(tmp_path: Path) -> None:
    given = line("eurosat", "coop", {"test": 0.25, "other": 0.5}, seed=3, options={"length": 4})
    (record,) = read_results(write_lines(tmp_path, [given])).records.to_dict("records")
    assert {name: record[name] for name in given["cell"]} == given["cell"]
    found = [(result.name, result.accuracy) for result in record["results"]]
    assert found == [("test", 0.25), ("other", 0.5)]
    assert record["results"][0].per_class == given["results"][0]["per_class"]
    for name in ("settings", "seconds", "versions", "machine", "weights_hash", "classifier_bytes"):
        assert record[name] == given[name]


def test_the_file_itself_may_be_named(tmp_path: Path) -> None:
    folder = write_lines(tmp_path, [line(), line(seed=2)])
    named, found = read_results(folder / "lines.jsonl"), read_results(folder)
    assert named.records.equals(found.records)


@pytest.mark.parametrize("torn", [b'{"format": "cross', json.dumps(line(seed=2)).encode()])
def test_a_torn_last_line_is_left_out_with_a_note(tmp_path: Path, torn: bytes) -> None:
    with (write_lines(tmp_path, [line()]) / "lines.jsonl").open("ab") as file:
        file.write(torn)
    results = read_results(tmp_path)
    assert list(results.records.seed) == [1]
    (note,) = results.notes
    assert "(line 2) has no end" in note


def test_of_two_lines_of_one_run_the_last_counts_with_a_note(tmp_path: Path) -> None:
    lines = [line(accuracy=0.1), line(seed=2, accuracy=0.2), line(accuracy=0.3)]
    results = read_results(write_lines(tmp_path, lines))
    found = {row.seed: row.results[0].accuracy for row in results.records.itertuples()}
    assert found == {1: 0.3, 2: 0.2}
    (note,) = results.notes
    assert note.startswith("Lines 1 and 3 of ")
    assert "dcp on emoji, 8 shots, seed 1" in note


def test_lines_that_differ_only_in_their_targets_are_different_runs(tmp_path: Path) -> None:
    given = {"protocol": "cross-dataset", "dataset": "emoji"}
    lines = [
        line(accuracy={"test": 0.5, "dtd": 0.3}, targets=["dtd"], **given),
        line(accuracy={"test": 0.5, "cars": 0.2}, targets=["cars"], **given),
        line(accuracy={"test": 0.4, "cars": 0.2}, targets=["cars", "dtd"], **given),
    ]
    results = read_results(write_lines(tmp_path, lines))
    assert list(results.records.targets) == [("dtd",), ("cars",), ("cars", "dtd")]
    (note,) = results.notes  # on what they have in common
    assert "dcp trained on emoji, seed 1, tested on test" in note


def without(*keys: Any) -> Change:
    def change(value: Any) -> None:
        for key in keys[:-1]:
            value = value[key]
        del value[keys[-1]]

    return change


def given(*keys: Any) -> Change:
    def change(value: Any) -> None:
        for key in keys[:-2]:
            value = value[key]
        value[keys[-2]] = keys[-1]

    return change


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (given("format", "other"), "format"),
        (given("version", 2), "version"),
        (without("cell"), "cell"),
        (without("cell", "shots"), "shots"),
        (given("cell", "dcp"), "cell"),
        (given("cell", "protocol", "zero"), "zero"),
        (given("cell", "inference", "guess"), "guess"),
        (given("cell", "seed", "1"), "seed"),
        (given("cell", "seed", True), "seed"),
        (given("cell", "targets", [1]), "targets"),
        (given("cell", "inference", "batch"), "batch_order"),
        (given("cell", "test_batch_size", 4), "test_batch_size"),
        (given("results", []), "results"),
        (given("results", 0, 3), "results"),
        (without("results", 0, "accuracy"), "accuracy"),
        (given("results", 0, "accuracy", 41.2), "accuracy"),
        (given("results", 0, "accuracy", float("nan")), "accuracy|JSON"),
        (given("results", 0, "per_class", {"a": -1}), "per_class"),
        (given("seconds", "train", "long"), "seconds"),
    ],
)
def test_a_malformed_line_is_an_error_that_names_file_and_line(
    tmp_path: Path, change: Change, place: str
) -> None:
    wrong = line(seed=2)
    change(wrong)
    with pytest.raises(RequestError, match=place) as error:
        read_results(write_lines(tmp_path, [line(), wrong, line(seed=3)]))
    assert f"{tmp_path / 'lines.jsonl'}, line 2" in str(error.value)


@pytest.mark.parametrize("text", [b"{", b"3 4", b"\xff\xfe", b"lines"])
def test_what_is_not_json_is_an_error_that_names_file_and_line(tmp_path: Path, text: bytes) -> None:
    path = write_lines(tmp_path, [line()]) / "lines.jsonl"
    path.write_bytes(text + b"\n" + path.read_bytes())
    with pytest.raises(RequestError, match=r"lines\.jsonl, line 1"):
        read_results(tmp_path)


def test_a_folder_without_finished_runs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"lines\.jsonl"):
        read_results(tmp_path)
    write_lines(tmp_path, [])
    with pytest.raises(RequestError, match=r"lines\.jsonl"):
        read_results(tmp_path)


def test_different_weights_or_data_under_one_name_are_noted(tmp_path: Path) -> None:
    lines = [line(), line(seed=2, weights_hash="beef" * 16), line("dtd", data_fingerprint="0a")]
    lines += [line("dtd", seed=2, data_fingerprint="0b", **batch(4, "sorted"))]
    weights, data = read_results(write_lines(tmp_path, lines)).notes
    assert "backbone tiny come from 2 different sets of weights (5f1e5f1e5f1e, beefb" in weights
    assert (
        "data set dtd (few-shot) come from 2 different versions of it (fingerprints 0a, 0b" in data
    )
