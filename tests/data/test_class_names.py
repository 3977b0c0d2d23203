"""Class names from labels, lists, mappings and files."""

from pathlib import Path

import pytest

from crossprompt.data.class_names import name_classes
from crossprompt.errors import RequestError

LABELS = ["n01_hen", "n02_owl"]


def in_file(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "names.txt"
    path.write_text(text, encoding=encoding)
    return path


def test_a_label_becomes_words() -> None:
    assert name_classes(["red__fox_", "a b"]) == ("red fox", "a b")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hen\n\n Uhu \n", ("hen", "Uhu")),
        ("\ufeffhen\r\nowl", ("hen", "owl")),
        ("n02_owl: owl: the bird\nn01_hen:hen", ("hen", "owl: the bird")),
        ("n02_owl: owl", ("n01 hen", "owl")),
        ("Star Wars: A New Hope\nAlien: Covenant", ("Star Wars: A New Hope", "Alien: Covenant")),
    ],
)
def test_a_file_holds_names_in_order_or_after_their_labels(
    tmp_path: Path, text: str, expected: tuple[str, ...]
) -> None:
    assert name_classes(LABELS, in_file(tmp_path, text)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hen", "1 class names .* 2 classes"),
        ("n01_hen: hen\n\nn03: emu", "'n03'"),
        ("n01_hen: hen\nowl", "given for ''"),
        ("n01_hen: hen\nn01_hen: cock", "'n01_hen' twice"),
        ("n01_hen: \nn02_owl: owl", "'n01_hen' has an empty"),
        ("owl\nowl", "'n01_hen' .*'n02_owl' .*'owl'"),
        ("owl\nOwl", "'n01_hen' .*'Owl'"),
    ],
)
def test_a_file_of_other_names_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        name_classes(LABELS, in_file(tmp_path, text))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"none\.txt"):
        name_classes(LABELS, str(tmp_path / "none.txt"))
    with pytest.raises(RequestError, match="UTF-8"):
        name_classes(LABELS, in_file(tmp_path, "Hühner\nEulen", "latin-1"))


def test_a_mapping_of_unknown_labels_is_refused() -> None:
    with pytest.raises(RequestError, match=r"'n03'.*'n01_hen'"):
        name_classes(LABELS, {"n03": "emu"})


@pytest.mark.parametrize("labels", [["Cat", "cat"], ["a b", "a_b"], ["a_b", "a_b_"]])
def test_labels_that_differ_only_in_case_or_spaces_are_refused(labels: list[str]) -> None:
    with pytest.raises(RequestError, match="rename") as raised:
        name_classes(labels)
    assert all(repr(label) in str(raised.value) for label in labels)


def test_accents_are_the_same_however_they_are_stored(tmp_path: Path) -> None:
    assert name_classes(["äpfel", "x"], {"a\u0308pfel": "apples"}) == ("apples", "x")
    assert name_classes(["äpfel", "x"], in_file(tmp_path, "a\u0308pfel: apples")) == ("apples", "x")
