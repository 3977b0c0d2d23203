"""``crossprompt predict``."""

import csv
import io
import json
import os
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from crossprompt import load
from crossprompt.bench.run_cell import restrict
from crossprompt.cli import main
from crossprompt.data import list_images
from crossprompt.inference.bulk.output import PartialFile
from crossprompt.inference.bulk.run import open_inputs
from tests.backbone import even_clip, write_items
from tests.saved import classify

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(run: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Predicts; returns exit code, standard output and standard error."""

    def answer(*arguments: str | Path) -> tuple[int, str, str]:
        code = main(["predict", str(run), *(str(word) for word in arguments)])
        return code, *capsys.readouterr()

    return answer


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.png"
    path.write_bytes(b"no image")
    return path


def test_files_and_folders_are_answered_in_order_as_python_does(ask, run, photos) -> None:
    files = list_images(photos)
    code, out, _ = ask(files[7], photos / "cat", "--json", "--top-k", "9")
    answers = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [answer["path"] for answer in answers] == [str(path) for path in (files[7], *files[:10])]
    expected = load(run).predict([files[7]], top_k=3)[0]
    assert answers[0]["label"] == expected.label
    assert answers[0]["probability"] == pytest.approx(expected.probability, abs=1e-5)
    assert [name for name, _ in answers[0]["top"]] == [name for name, _ in expected.top]
    assert sum(share for _, share in answers[0]["top"]) == pytest.approx(1, abs=1e-5)


def test_a_table_has_a_line_for_each_image(ask, photos) -> None:
    code, out, _ = ask(photos / "cat" / "0.png", "--top-k", "2")
    assert code == 0
    path, shares = out.strip().split(": ")
    assert path == str(photos / "cat" / "0.png")
    assert shares.count(" %") == 2


def test_the_backbone_may_lie_elsewhere(ask, photos, backbone) -> None:
    assert ask(photos / "cat" / "0.png", "--backbone", backbone)[0] == 0
    code, _, err = ask(photos / "cat" / "0.png", "--backbone", "tiny")
    assert code == 2
    assert "backbone" in err


def test_a_list_is_read_from_standard_input(ask, photos, monkeypatch) -> None:
    files = list_images(photos)[:3]
    lines = "\n".join([str(files[0]), "", str(files[1])])
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    code, out, _ = ask("-", files[2], "--json")
    assert code == 0
    assert [json.loads(line)["path"] for line in out.splitlines()] == [str(file) for file in files]


def test_a_csv_file_has_a_column_for_everything(ask, photos, bad, tmp_path) -> None:
    output = tmp_path / "new folder" / "answers.csv"
    code, out, err = ask(photos / "cat", bad, "--top-k", "2", "--output", output)
    assert (code, out) == (1, "")
    assert "1 image could not be read" in err
    with output.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = ["path", "label", "probability", "label_2", "probability_2", "error"]
    assert list(rows[0]) == columns
    assert len(rows) == 11
    assert float(rows[0]["probability"]) >= float(rows[0]["probability_2"])
    assert rows[0]["error"] == ""
    assert rows[10]["label"] == rows[10]["probability_2"] == ""
    assert "not an image" in rows[10]["error"]
    assert [path.name for path in output.parent.iterdir()] == ["answers.csv"]


def test_the_written_file_and_a_replaced_one_are_reported(ask, photos, tmp_path) -> None:
    output = tmp_path / "answers.csv"
    assert ask(photos / "cat", "--output", output)[2].endswith(f"10 rows in {output}\n")
    (one, *_) = sorted((photos / "cat").iterdir())
    ends = f"1 row in {output}, in place of an earlier file\n"
    assert ask(one, "--output", output)[2].endswith(ends)


def test_a_jsonl_file_and_standard_output_say_the_same(ask, photos, tmp_path) -> None:
    assert ask(photos, "--output", tmp_path / "answers.jsonl")[0] == 0
    assert ask(photos, "--format", "jsonl")[1] == (tmp_path / "answers.jsonl").read_text("utf-8")


@pytest.mark.parametrize("form", ["table", "csv", "jsonl"])
def test_a_damaged_image_has_a_row_and_makes_exit_code_1(ask, photos, bad, form) -> None:
    good = photos / "cat" / "0.png"
    code, out, err = ask(good, bad, good, "--format", form)
    assert code == 1
    rows = out.splitlines()[1:] if form == "csv" else out.splitlines()
    assert len(rows) == 3
    assert rows[0] == rows[2]
    assert "not an image" in rows[1]
    assert "1 image" in err


def test_a_missing_file_of_a_list_has_a_row_but_a_missing_argument_is_refused(
    ask, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("nowhere.png\n"))
    code, out, _ = ask("-", "--json")
    assert code == 1
    assert json.loads(out)["error"] == "no such file"  # the path has its own field
    code, out, err = ask("nowhere.png")
    assert (code, out) == (2, "")
    assert "nowhere.png" in err


def test_a_folder_without_images_is_refused(ask, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    code, _, err = ask(tmp_path / "empty")
    assert code == 2
    assert "empty" in err


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["--output", "answers.txt"], ".csv, .jsonl or .parquet"),
        (["--output", "."], ".csv, .jsonl or .parquet"),
        (["--json", "--format", "csv"], "--format csv"),
        (["--output", "folder.csv"], "folder.csv"),
        (["--format", "parquet"], "--format parquet"),
        (["--restart"], "--restart"),
        (["--column", "x"], "--column x"),
        (["--workers", "2"], "--workers"),
        (["--ray-address", "auto"], "--ray-address"),
        (["--engine", "ray", "--gpus", "-1"], "--gpus: '-1'"),
    ],
)
def test_an_impossible_output_is_refused(
    ask, photos, tmp_path, monkeypatch, arguments, value
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    code, _, err = ask(photos, *arguments)
    assert code == 2
    assert value in err


def test_a_list_is_not_replaced_by_its_answers(ask, tmp_path) -> None:
    own = tmp_path / "own.csv"
    own.write_text("path\nmine.png\n")
    code, _, err = ask(own, "--output", tmp_path / "." / "own.csv")
    assert code == 2
    assert "own.csv" in err
    assert own.read_text() == "path\nmine.png\n"


def test_names_of_any_bytes_come_through(ask, photos, tmp_path) -> None:
    name = tmp_path / b"caf\xe9 \xc3\xbc.png".decode("utf-8", "surrogateescape")
    name.write_bytes((photos / "cat" / "0.png").read_bytes())
    assert ask(name, "--output", tmp_path / "a.csv")[0] == 0
    assert b"caf\xe9 \xc3\xbc.png" in (tmp_path / "a.csv").read_bytes()


def test_names_of_any_bytes_come_in_on_standard_input(ask, photos, tmp_path, monkeypatch) -> None:
    name = tmp_path / b"caf\xe9.png".decode("utf-8", "surrogateescape")
    name.write_bytes((photos / "cat" / "0.png").read_bytes())
    lines = io.BytesIO(os.fsencode(name) + b"\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(lines, "utf-8", "strict"))
    assert ask("-", "--output", tmp_path / "a.csv")[0] == 0
    assert b"caf\xe9.png" in (tmp_path / "a.csv").read_bytes()


def test_paths_are_counted_where_they_can_be(photos, monkeypatch) -> None:
    assert open_inputs([str(photos), str(photos / "cat" / "0.png")]).count() == 31
    assert open_inputs(["-", str(photos)]).count() is None


def test_an_empty_standard_input_is_an_error(ask, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    code, _, err = ask("-")
    assert code == 2
    assert "standard input" in err


def test_a_list_a_table_and_a_shard_are_answered_as_their_images_are(ask, photos, tmp_path) -> None:
    files = list_images(photos)[:3]
    (tmp_path / "a.csv").write_text(f"path\n{files[0]}\n", "utf-8")
    table = pyarrow.table({"image": [files[1].read_bytes()]})
    parquet.write_table(table, tmp_path / "b.parquet")
    with tarfile.open(tmp_path / "c-0.tar", "w") as shard:
        shard.add(files[2], "key.png")
    arguments = [tmp_path / "a.csv", tmp_path / "b.parquet", tmp_path / "c-{0..0}.tar"]
    code, out, _ = ask(*arguments, "--json")
    answers = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    names = [str(files[0]), f"{arguments[1]}#0", f"{tmp_path / 'c-0.tar'}#key"]
    assert [answer.pop("path") for answer in answers] == names
    expected = [json.loads(line) for line in ask(*files, "--json")[1].splitlines()]
    assert answers == [{key: row[key] for key in row if key != "path"} for row in expected]
    output = tmp_path / "answers.parquet"
    assert ask(*arguments, "--output", output)[0] == 0
    assert parquet.read_table(output).column("label").to_pylist() == [
        row["label"] for row in expected
    ]


def test_a_stopped_run_resumes_with_the_same_command_and_no_other(
    ask, photos, tmp_path, monkeypatch
) -> None:
    output, append = tmp_path / "answers.jsonl", PartialFile.append
    arguments = [photos, "--output", output, "--batch-size", "8"]

    def stop(file: PartialFile, *given: Any) -> None:
        if file.progress.mark.rows == 16:
            raise KeyboardInterrupt
        append(file, *given)

    with monkeypatch.context() as patch:
        patch.setattr(PartialFile, "append", stop)
        code, _, err = ask(*arguments)
    assert code == 1
    assert "16 rows" in err
    assert "same command" in err
    code, _, err = ask(*arguments, "--top-k", "2")
    assert code == 2
    assert "--top-k" in err
    code, _, err = ask(*arguments)
    assert code == 0
    assert "16 rows" in err
    assert ask(photos, "--json", "--batch-size", "8")[1] == output.read_text("utf-8")


def test_a_classifier_that_may_answer_otherwise_has_another_fingerprint(tmp_path) -> None:
    items = write_items(tmp_path, [0, 1, 2])
    one, other = (classify(even_clip(), items, "coop", seed, length=2) for seed in (1, 2))
    assert one.fingerprint == load(one.save(tmp_path / "one"), even_clip()).fingerprint
    assert one.fingerprint != other.fingerprint
    assert one.fingerprint != restrict(one, one.class_names[::-1]).fingerprint
