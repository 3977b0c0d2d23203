import pytest

from crossprompt.utils.text import did_you_mean, nearest, one_line


@pytest.mark.parametrize(
    ("word", "likeness", "found"),
    [("dpc", 0.6, "dcp"), ("xyzzy", 0.6, None), ("cocoon", 0.6, "cocoop"), ("cocoon", 0.9, None)],
)
def test_the_nearest_word_is_one_that_is_like_it(word, likeness, found) -> None:
    assert nearest(word, ["coop", "cocoop", "dcp"], likeness) == found


def test_a_word_that_is_not_known_is_answered_with_what_was_meant_or_what_there_is() -> None:
    known = {"length": 1, "depth": 2}
    assert did_you_mean("lenght", known) == "did you mean 'length'?"
    assert did_you_mean("xyzzy", known) == "there are length, depth"
    assert did_you_mean("xyzzy", known, "see --help") == "see --help"
    assert did_you_mean("xyzzy", [], "") == ""


def test_what_an_error_says_is_one_line() -> None:
    assert one_line(ValueError("two\n  lines\tand  a tab\n")) == "two lines and a tab"
    assert one_line(ValueError()) == ""
