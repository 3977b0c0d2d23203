"""Rows for people, which the other forms' readers never see."""

from crossprompt.inference.base import Prediction
from crossprompt.inference.bulk.output import FORMS


def test_a_row_for_people_is_one_line_that_moves_nothing_on_the_terminal() -> None:
    rows = FORMS["table"](1)
    good = Prediction("two\nlines.jpg", "cat", 0.5, [("\x1b[31mcat", 0.5)])
    bad = Prediction("one.jpg", None, None, [], "not\ran image")
    assert rows.row(good) == "two\\nlines.jpg: \\x1b[31mcat 50.0 %\n"
    assert rows.row(bad) == "one.jpg: error: not\\ran image\n"
