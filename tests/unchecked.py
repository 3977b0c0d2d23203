"""What users may do, whom no type checker and none of the tests' own checks keep from it."""

from inspect import unwrap
from typing import Any


def made(kind: Any, *given: Any, **named: Any) -> Any:
    """What ``kind(…)`` gives, for a class whose ``__init__`` checks types in the tests."""
    unwrap(kind.__init__)(found := object.__new__(kind), *given, **named)
    return found
