"""Text for messages: suggestions, lists, one line per error, no control characters."""

from collections.abc import Callable, Collection, Iterable, Sequence
from difflib import get_close_matches
from unicodedata import category


def escape_control_characters(text: str) -> str:
    """A name in one line, with control characters as Python writes them: a file's name may hold a
    line break, and a class's, from somebody else's classifier, a command to the terminal."""
    return "".join(repr(x)[1:-1] if category(x) == "Cc" else x for x in text)


def nearest(word: str, known: Collection[str], likeness: float = 0.6) -> str | None:
    """The known word that is most like another, None if none is.

    Args:
        word: the other.
        known: what there is.
        likeness: at least, from 0 to 1.
    """
    near = get_close_matches(word, known, 1, likeness)
    return near[0] if near else None


def did_you_mean(word: str, known: Collection[str], otherwise: str | None = None) -> str:
    """What to say, after a semicolon, about a word that is not known.

    Args:
        word: what was given.
        known: what there is.
        otherwise: said where nothing is like it; by default, all that there is.
    """
    if near := nearest(word, known):
        return f"did you mean {near!r}?"
    return f"there are {', '.join(known)}" if otherwise is None else otherwise


def one_line(text: object) -> str:
    """A text, or what an error says, without line breaks and runs of spaces."""
    return " ".join(str(text).split())


def listed(names: Iterable[object], most: int = 10, form: Callable[[object], str] = repr) -> str:
    """The first ``most`` names, quoted unless ``form`` is ``str``, and the number of the rest."""
    names = list(names)
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(form, names[:most])) + rest


def indented(lines: Sequence[str], most: int = 20) -> str:
    """The first ``most`` lines, indented, and the number of the rest."""
    rest = [f"and {len(lines) - most} more"] if len(lines) > most else []
    return "\n".join(f"  {line}" for line in [*lines[:most], *rest])
