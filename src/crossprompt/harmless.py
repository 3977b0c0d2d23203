"""Text of unknown origin, for a terminal."""

from unicodedata import category


def harmless(text: str) -> str:
    """A name in one line, with control characters as Python writes them: a file's name may hold a
    line break, and a class's, from somebody else's classifier, a command to the terminal."""
    return "".join(repr(x)[1:-1] if category(x) == "Cc" else x for x in text)
