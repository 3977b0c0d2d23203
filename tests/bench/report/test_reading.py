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
    (record,) = read_results(write_lines(tmp_path, [given])).records
    assert vars(record.cell) == {**given["cell"], "targets": (), "joint": ""}
    assert [(out.name, out.accuracy) for out in record.outcomes] == [("test", 0.25), ("other", 0.5)]
    assert record.outcomes[0].per_class == given["results"][0]["per_class"]
    for name in ("settings", "seconds", "versions", "machine", "weights_hash", "classifier_bytes"):
        assert getattr(record, name) == given[name]


def test_the_file_itself_may_be_named(tmp_path: Path) -> None:
    folder = write_lines(tmp_path, [line(), line(seed=2)])
    assert read_results(folder / "lines.jsonl") == read_results(folder)


@pytest.mark.parametrize("torn", [b'{"format": "cross', json.dumps(line(seed=2)).encode()])
def test_a_torn_last_line_is_left_out_with_a_note(tmp_path: Path, torn: bytes) -> None:
    with (write_lines(tmp_path, [line()]) / "lines.jsonl").open("ab") as file:
        file.write(torn)
    results = read_results(tmp_path)
    assert [record.cell.seed for record in results.records] == [1]
    (note,) = results.notes
    assert "(line 2) has no end" in note


def test_of_two_lines_of_one_cell_the_last_counts_with_a_note(tmp_path: Path) -> None:
    lines = [line(accuracy=0.1), line(seed=2, accuracy=0.2), line(accuracy=0.3)]
    results = read_results(write_lines(tmp_path, lines))
    found = {record.cell.seed: record.outcomes[0].accuracy for record in results.records}
    assert found == {1: 0.3, 2: 0.2}
    (note,) = results.notes
    assert note.startswith("Lines 1 and 3 of ")
    assert "dcp on emoji, 8 shots, seed 1" in note


def test_lines_that_differ_only_in_their_targets_are_different_cells(tmp_path: Path) -> None:
    given = {"protocol": "cross-dataset", "dataset": "emoji"}
    lines = [
        line(accuracy={"test": 0.5, "dtd": 0.3}, targets=["dtd"], **given),
        line(accuracy={"test": 0.5, "cars": 0.2}, targets=["cars"], **given),
        line(accuracy={"test": 0.4, "cars": 0.2}, targets=["cars", "dtd"], **given),
    ]
    results = read_results(write_lines(tmp_path, lines))
    assert [record.cell.targets for record in results.records] == [
        ("dtd",),
        ("cars",),
        ("cars", "dtd"),
    ]
    (note,) = results.notes  # on what they have in common
    assert "2 different accuracies of dcp trained on emoji, seed 1, tested on test" in note


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
    ("change", "told"),
    [
        (
            given("format", "other"),
            "found format 'other', version 1, expected 'crossprompt-result'",
        ),
        (given("version", 2), "version 2, expected 'crossprompt-result', version 1"),
        (without("format"), "found format None"),
        (without("cell"), "has no 'cell'; it has format, version, results"),
        (without("cell", "shots"), "'cell' has no 'shots'"),
        (given("cell", "shots", None), "'shots' is None, expected a whole number"),
        (without("cell", "batch_order"), "'cell' has no 'batch_order'"),
        (given("cell", "dcp"), "'cell' is 'dcp', expected a JSON object"),
        (
            given("cell", "protocol", "zero"),
            "'protocol' is 'zero', expected one of few-shot, domain",
        ),
        (given("cell", "seed", "1"), "'seed' is '1', expected a whole number"),
        (given("cell", "targets", "dtd"), "'targets' is 'dtd', expected a list"),
        (given("cell", "targets", [1]), "'targets' holds 1, expected a text"),
        (given("cell", "seed", True), "'seed' is True, expected a whole number"),
        (given("cell", "seed", 1.0), "'seed' is 1.0, expected a whole number"),
        (given("cell", "inference", "batch"), "'batch_order' is None, expected a text"),
        (given("cell", "test_batch_size", 4), "test_batch_size 4 and batch_order None are given"),
        (given("results", []), "'results' is empty, expected at least one"),
        (given("results", {}), "'results' is {}, expected a list"),
        (given("results", 0, 3), "'results' 1 is 3, expected a JSON object"),
        (without("results", 0, "accuracy"), "'results' 1 has no 'accuracy'"),
        (given("results", 0, "accuracy", 41.2), "'accuracy' is 41.2, expected a share from 0 to 1"),
        (given("results", 0, "accuracy", float("nan")), "'accuracy' is nan, expected a share"),
        (given("results", 0, "per_class", {"a": -1}), "'per_class': 'a' is -1.0, expected a share"),
        (given("seconds", "train", "long"), "'seconds': 'train' is 'long', expected a number"),
        (without("versions"), "has no 'versions'"),
    ],
)
def test_a_malformed_line_is_an_error_that_names_file_and_line(
    tmp_path: Path, change: Change, told: str
) -> None:
    wrong = line(seed=2)
    change(wrong)
    with pytest.raises(RequestError) as error:
        read_results(write_lines(tmp_path, [line(), wrong, line(seed=3)]))
    assert f"{tmp_path / 'lines.jsonl'}, line 2" in str(error.value)
    assert told in str(error.value)


@pytest.mark.parametrize("text", [b"{", b"3 4", b"\xff\xfe", b"lines"])
def test_what_is_not_json_is_an_error_that_says_what_to_do(tmp_path: Path, text: bytes) -> None:
    path = write_lines(tmp_path, [line()]) / "lines.jsonl"
    path.write_bytes(text + b"\n" + path.read_bytes())
    with pytest.raises(RequestError, match=r"lines.jsonl, line 1 is not JSON .*; remove the line"):
        read_results(tmp_path)


def test_where_there_are_no_lines_the_error_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"found no lines.jsonl in .*; give the folder that"):
        read_results(tmp_path)
    write_lines(tmp_path, [])
    with pytest.raises(RequestError, match="holds no finished cell yet; run crossprompt bench"):
        read_results(tmp_path)


def test_what_bears_one_name_but_is_not_one_thing_is_told(tmp_path: Path) -> None:
    lines = [line(), line(seed=2, weights_hash="beef" * 16), line("dtd", data_fingerprint="0a")]
    lines += [line("dtd", seed=2, data_fingerprint="0b", **batch(4, "sorted"))]
    weights, data = read_results(write_lines(tmp_path, lines)).notes
    assert "backbone tiny come from 2 different sets of weights (5f1e5f1e5f1e, beefb" in weights
    assert (
        "data set dtd (few-shot) come from 2 different versions of it (fingerprints 0a, 0b" in data
    )
