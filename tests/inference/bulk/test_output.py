"""Rows for people, as the terminal shows them."""

from crossprompt.inference.base import Prediction
from crossprompt.inference.bulk.output import table_row


def test_a_row_for_people_is_one_line_that_moves_nothing_on_the_terminal() -> None:
    good = Prediction("two\nlines.jpg", "cat", 0.5, [("\x1b[31mcat", 0.5)])
    bad = Prediction("one.jpg", None, None, [], "not\ran image")
    assert table_row(good, 1) == "two\\nlines.jpg: \\x1b[31mcat 50.0 %\n"
    assert table_row(bad, 1) == "one.jpg: error: not\\ran image\n"
