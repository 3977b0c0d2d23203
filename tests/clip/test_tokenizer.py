import json
import unicodedata
from pathlib import Path

import pytest
import tokenizers
import transformers

from crossprompt.clip.tokenizer import END, START, Tokenizer, clip_backend
from crossprompt.errors import RequestError
from tests.clip.random_clip import make_tokenizer

TEXTS = [
    "a photo of a red cat.",
    "  Hot\tAIR \n balloon ",
    "forget-me-not, don't they'll I'VE",
    "Boeing 737-800",
    "crème brûlée, 犬と猫 ß",
    "dogs... and cats?!",
    "",
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return make_tokenizer()


def write_vocabulary(tokenizer: Tokenizer, folder: Path) -> tuple[Path, Path]:
    """The older pair of files, from a tokenizer.json."""
    tokenizer.save(folder / "whole.json")
    model = json.loads((folder / "whole.json").read_text(encoding="utf-8"))["model"]
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    vocabulary.write_text(json.dumps(model["vocab"]), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"])]
    merges.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return vocabulary, merges


@pytest.mark.parametrize("text", TEXTS)
def test_ids_equal_those_of_transformers(tokenizer: Tokenizer, tmp_path: Path, text: str) -> None:
    vocabulary, merges = write_vocabulary(tokenizer, tmp_path)
    pairs = [tuple(line.split()) for line in merges.read_text(encoding="utf-8").split("\n")[1:-1]]
    theirs = transformers.CLIPTokenizer(json.loads(vocabulary.read_text(encoding="utf-8")), pairs)
    expected = theirs(text).input_ids
    assert [tokenizer.start, *tokenizer.encode(text), tokenizer.end] == expected


@pytest.mark.parametrize("text", TEXTS)
def test_all_file_formats_give_the_same_ids(
    tokenizer: Tokenizer, tmp_path: Path, text: str
) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    whole = Tokenizer.from_file(tmp_path / "tokenizer.json")
    pair = Tokenizer.from_file(*write_vocabulary(tokenizer, tmp_path))
    assert whole.encode(text) == pair.encode(text) == tokenizer.encode(text)
    assert (whole.start, whole.end, whole.size) == (pair.start, pair.end, pair.size)


def test_case_space_and_unicode_form_do_not_matter(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode(" Red \n CAT") == tokenizer.encode("red cat")
    decomposed = unicodedata.normalize("NFD", "crème")
    assert decomposed != "crème"
    assert tokenizer.encode(decomposed) == tokenizer.encode("crème")


def test_start_and_end_are_looked_up_by_token(tmp_path: Path) -> None:
    model = tokenizers.models.BPE({END: 0, "c</w>": 1, START: 2}, [], end_of_word_suffix="</w>")
    tokenizer = Tokenizer(clip_backend(model))
    assert (tokenizer.start, tokenizer.end, tokenizer.encode("c")) == (2, 0, [1])


def test_padding_and_truncation_asked_for_by_the_file_are_not_done(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    tokenizer.save(tmp_path / "plain.json")
    backend = tokenizers.Tokenizer.from_file(str(tmp_path / "plain.json"))
    backend.enable_padding(length=77)
    backend.enable_truncation(3)
    backend.save(str(tmp_path / "tokenizer.json"))
    read = Tokenizer.from_file(tmp_path / "tokenizer.json")
    assert read.encode("a photo of a red cat") == tokenizer.encode("a photo of a red cat")


def test_names_share_the_start_of_text_only_and_keep_their_order(tokenizer: Tokenizer) -> None:
    names = ["red cat", "red dogs", "cat"]
    texts = tokenizer.tokenize_names(names)
    assert texts.shared == (tokenizer.start,)
    assert texts.labels == tuple(names)
    assert texts.own == tuple((*tokenizer.encode(f"{n}."), tokenizer.end) for n in names)
    bare = tokenizer.tokenize_names(names, suffix="")
    assert bare.own[2] == (*tokenizer.encode("cat"), tokenizer.end)


def test_complete_texts_share_their_beginning(tokenizer: Tokenizer) -> None:
    texts = tokenizer.tokenize_texts(["a photo of a cat", "a photo of dogs"], labels=["x", "y"])
    assert texts.shared == (tokenizer.start, *tokenizer.encode("a photo of"))
    assert texts.own[0] == (*tokenizer.encode("a cat"), tokenizer.end)
    assert texts.labels == ("x", "y")
    assert tokenizer.tokenize_texts(["a cat"]).labels == ("a cat",)


@pytest.mark.parametrize("name", ["", "  ", "\n"])
def test_a_blank_class_name_is_an_error(tokenizer: Tokenizer, name: str) -> None:
    with pytest.raises(RequestError, match="is blank"):
        tokenizer.tokenize_names(["cat", name])


def test_no_names_no_texts_and_labels_that_do_not_match_are_errors(tokenizer: Tokenizer) -> None:
    with pytest.raises(RequestError, match="no class names"):
        tokenizer.tokenize_names([])
    with pytest.raises(RequestError, match="got 0 texts"):
        tokenizer.tokenize_texts([])
    with pytest.raises(RequestError, match="got 1 texts and 2 labels"):
        tokenizer.tokenize_texts(["a cat"], labels=["x", "y"])


@pytest.mark.parametrize("name", [f"cat {END} dog", f"{START}cat"])
def test_a_name_that_holds_an_end_of_text_is_an_error(tokenizer: Tokenizer, name: str) -> None:
    with pytest.raises(RequestError, match="cannot be tokenized"):
        tokenizer.tokenize_names([name])


def test_a_word_outside_a_small_vocabulary_is_an_error_that_shows_it() -> None:
    model = tokenizers.models.BPE(
        {"c</w>": 0, START: 1, END: 2}, [], unk_token=END, end_of_word_suffix="</w>"
    )
    with pytest.raises(RequestError, match="'c x'"):
        Tokenizer(clip_backend(model)).encode("c x")


def test_a_file_that_is_missing_or_no_tokenizer_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"gone\.json"):
        Tokenizer.from_file(tmp_path / "gone.json")
    broken = tmp_path / "tokenizer.json"
    broken.write_text("{}")
    with pytest.raises(RequestError, match=r"tokenizer\.json is"):
        Tokenizer.from_file(broken)
    with pytest.raises(RequestError, match=r"gone\.txt"):
        Tokenizer.from_file(broken, tmp_path / "gone.txt")


def test_another_models_tokenizer_is_an_error_that_names_the_lacking_token(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizers.Tokenizer(tokenizers.models.BPE({"a": 0}, [])).save(str(path))
    with pytest.raises(RequestError, match=r"tokenizer\.json .*<\|startof"):
        Tokenizer.from_file(path)
