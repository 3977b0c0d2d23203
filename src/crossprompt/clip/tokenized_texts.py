"""The ids of a set of texts, split into what all begin with and what each has alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby

import torch
from jaxtyping import Int
from torch import Tensor

from crossprompt.errors import RequestError


@dataclass(frozen=True)
class Bucket:
    """``texts`` texts in a row with ``length`` own tokens each, from own token ``start`` on."""

    start: int
    texts: int
    length: int

    @property
    def stop(self) -> int:
        """The own token after the run's last."""
        return self.start + self.texts * self.length


@dataclass(frozen=True)
class TokenizedTexts:
    """The token ids of a set of texts, split into what they share and what each has alone.

    Args:
        shared: ids that begin every text, the start-of-text id first.
        own: per text, in the caller's order, the remaining ids, the end-of-text id last.
        labels: what to call each text in an error, for example its class name.
    """

    shared: tuple[int, ...]
    own: tuple[tuple[int, ...], ...]
    labels: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, ids: Sequence[Sequence[int]], labels: Sequence[str]) -> "TokenizedTexts":
        """Split complete texts (start and end included) after their longest common beginning."""
        if not ids:
            raise RequestError("no texts were given; at least one is needed")
        # what the first and the last in sorted order share, all share
        first, last = min(map(tuple, ids)), max(map(tuple, ids))
        limit = min(len(text) for text in ids) - 1  # every text keeps its end of text
        count = 0
        while count < limit and first[count] == last[count]:
            count += 1
        return cls(tuple(first[:count]), tuple(tuple(text[count:]) for text in ids), tuple(labels))

    def with_room(self, length: int) -> "TokenizedTexts":
        """Leave ``length`` places before each text's own tokens, for ``TextTokens.write_each``."""
        filler = (self.own[0][-1],) * length  # any id: its embedding is replaced
        return replace(self, own=tuple(filler + own for own in self.own))

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Position of each sorted text in the caller's order."""
        return tuple(sorted(range(len(self.own)), key=lambda text: len(self.own[text])))

    @cached_property
    def buckets(self) -> tuple[Bucket, ...]:
        """Runs of equal length over the sorted texts."""
        buckets, start = [], 0
        for length, run in groupby(len(self.own[text]) for text in self.order):
            buckets.append(Bucket(start, len(list(run)), length))
            start = buckets[-1].stop
        return tuple(buckets)

    def part(self, start: int, stop: int) -> "TokenizedTexts":
        """The sorted texts from ``start`` to before ``stop``, which keep that order."""
        chosen = self.order[start:stop]
        own = tuple(self.own[text] for text in chosen)
        return TokenizedTexts(self.shared, own, tuple(self.labels[text] for text in chosen))

    def ids(self, device: torch.device) -> Int[Tensor, " tokens"]:
        """Shared ids, then every text's own ids in sorted order, packed."""
        own = [token for text in self.order for token in self.own[text]]
        return torch.tensor([*self.shared, *own], device=device)

    def check_fits(self, context: int, prompt_length: int) -> None:
        """Raise ``RequestError`` naming a text that exceeds ``context`` tokens after the prompt."""
        for label, own in zip(self.labels, self.own, strict=True):
            needed = len(self.shared) + prompt_length + len(own)
            if needed > context:
                raise RequestError(
                    f"{label!r} needs {needed} tokens ({len(own)} of its own, {prompt_length} "
                    f"prompt tokens, {len(self.shared)} at the start) but the text tower holds "
                    f"{context}; shorten the name or the prompt"
                )
