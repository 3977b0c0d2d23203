"""Values of a JSON object, checked as they are taken."""

from typing import Any

from crossprompt.errors import RequestError

KINDS = {
    dict: "a JSON object",
    list: "a list",
    str: "a text",
    int: "a whole number",
    float: "a number",
}
"""As errors call them."""


class Fields:
    """The values of a JSON object, checked as they are taken.

    Args:
        values: what should be an object.
        where: what it is, for errors.
    """

    def __init__(self, values: Any, where: str) -> None:
        if not isinstance(values, dict):
            raise RequestError(f"{where} is {values!r:.60}, expected a JSON object")
        self.values, self.where = values, where

    def take(self, name: str, kind: type) -> Any:
        """The value called ``name``, of type ``kind``, one of ``KINDS``."""
        if name not in self.values:
            raise RequestError(f"{self.where} has no {name!r}; it has {', '.join(self.values)}")
        value = self.values[name]
        accepted = (int, float) if kind is float else kind
        if not isinstance(value, accepted) or isinstance(value, bool):  # which is an int to Python
            raise RequestError(f"{self.where}: {name!r} is {value!r:.60}, expected {KINDS[kind]}")
        return value

    def optional(self, name: str, kind: type) -> Any:
        """The value, which may be null."""
        if name in self.values and self.values[name] is None:
            return None
        return self.take(name, kind)

    def one_of(self, name: str, choices: tuple[str, ...]) -> str:
        """The value, which is one of ``choices``."""
        value: str = self.take(name, str)
        if value not in choices:
            expected = ", ".join(choices)
            raise RequestError(f"{self.where}: {name!r} is {value!r}, expected one of {expected}")
        return value

    def share(self, name: str) -> float:
        """The value, from 0 to 1."""
        value = float(self.take(name, float))
        if not 0 <= value <= 1:
            raise RequestError(f"{self.where}: {name!r} is {value}, expected a share from 0 to 1")
        return value

    def numbers(self, name: str) -> dict[str, float]:
        """The object called ``name``, whose values are numbers."""
        inner = self.inner(name)
        return {key: float(inner.take(key, float)) for key in inner.values}

    def texts(self, name: str) -> tuple[str, ...]:
        """The list called ``name``, whose values are texts."""
        found = self.take(name, list)
        for value in found:
            if not isinstance(value, str):
                raise RequestError(f"{self.where}: {name!r} holds {value!r:.60}, expected a text")
        return tuple(found)

    def inner(self, name: str) -> "Fields":
        """The object called ``name``."""
        return Fields(self.take(name, dict), f"{self.where}: {name!r}")

    def each(self, name: str) -> "list[Fields]":
        """The objects in the list called ``name``, at least one."""
        found = self.take(name, list)
        if not found:
            raise RequestError(f"{self.where}: {name!r} is empty, expected at least one")
        return [Fields(value, f"{self.where}: {name!r} {n}") for n, value in enumerate(found, 1)]
