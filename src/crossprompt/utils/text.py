"""Text for messages: suggestions, lists, one line per error, no control characters."""

from collections.abc import Callable, Collection, Iterable, Sequence
from difflib import get_close_matches
from unicodedata import category


def escape_control_characters(text: str) -> str:
    """Escape line breaks and terminal sequences, which names from others may hold."""
    return "".join(repr(x)[1:-1] if category(x) == "Cc" else x for x in text)


def one_line(text: object) -> str:
    """A text or error without line breaks and repeated spaces."""
    return " ".join(str(text).split())


def nearest(word: str, known: Collection[str], cutoff: float = 0.6) -> str | None:
    """The known word most similar to another, at least ``cutoff`` (0 to 1), or None."""
    near = get_close_matches(word, known, 1, cutoff)
    return near[0] if near else None


def did_you_mean(word: str, known: Collection[str], otherwise: str | None = None) -> str:
    """Ending of an error about an unknown word: the nearest known one.

    If none is similar, it is ``otherwise``, by default the list of all known ones.
    """
    if near := nearest(word, known):
        return f"did you mean {near!r}?"
    return f"there are {', '.join(known)}" if otherwise is None else otherwise


def listed(names: Iterable[object], most: int = 10, form: Callable[[object], str] = repr) -> str:
    """The first ``most`` names, quoted unless ``form`` is ``str``, and the number of the rest."""
    names = list(names)
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(form, names[:most])) + rest


def indented(lines: Sequence[str], most: int = 20) -> str:
    """The first ``most`` lines, indented, and the number of the rest."""
    rest = [f"and {len(lines) - most} more"] if len(lines) > most else []
    return "\n".join(f"  {line}" for line in [*lines[:most], *rest])
