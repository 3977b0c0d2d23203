"""Shared-prefix texts: the tokens with which all texts begin are stored, and computed, once.

The text tower's mask is causal, so the activations of ``[SOS, prompt]`` do not depend on what
follows, and the end-of-text token sees nothing after it. A set of texts is therefore stored,
exactly and without padding, as

    activations [groups, shared + own, width]

where ``shared`` tokens begin every text and ``own`` is the sum of all texts' remaining tokens. The
texts are sorted by length, so that those of equal length stand in one contiguous run (a *bucket*)
that can be seen as ``[texts, length]`` without copying. ``groups`` counts the different prefixes:
one for a prompt shared by all classes, one per image where the prompt depends on the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention, softmax

from crossprompt.errors import RequestError
from crossprompt.utils.shapes import TextPrompt


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
    """The token ids of a set of texts, split into the shared beginning and each text's own rest.

    Args:
        shared: ids that begin every text, the start-of-text id first.
        own: per text, in the caller's order, the remaining ids, the end-of-text id last.
        labels: names each text in an error, for example by its class.
    """

    shared: tuple[int, ...]
    own: tuple[tuple[int, ...], ...]
    labels: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, ids: Sequence[Sequence[int]], labels: Sequence[str]) -> "TokenizedTexts":
        """Split complete texts (start and end included) after their longest common beginning."""
        if not ids:
            raise RequestError("no texts were given; at least one is needed")
        # the first and the last in sorted order share the fewest tokens
        first, last = min(map(tuple, ids)), max(map(tuple, ids))
        count = min(map(len, ids)) - 1  # every text keeps its end of text
        while first[:count] != last[:count]:
            count -= 1
        return cls(tuple(first[:count]), tuple(tuple(text[count:]) for text in ids), tuple(labels))

    def with_room(self, length: int) -> "TokenizedTexts":
        """Insert ``length`` tokens before each text's own, for ``TextTokens.write_each``."""
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
        """The sorted texts from ``start`` to before ``stop``, in that order."""
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
            if (needed := len(self.shared) + prompt_length + len(own)) > context:
                raise RequestError(
                    f"{label!r} needs {needed} tokens ({len(own)} of its own, {prompt_length} "
                    f"prompt tokens, {len(self.shared)} at the start) but the text tower holds "
                    f"{context}; shorten the name or the prompt"
                )


Heads = Float[Tensor, "groups heads tokens head_width"]
Ends = Float[Tensor, "groups heads texts head_width"]
Queries = Float[Tensor, "groups heads texts queries head_width"]
Attended = Float[Tensor, "groups heads texts*queries head_width"]
Activations = Float[Tensor, "groups tokens width"]


@dataclass(frozen=True)
class TextTokens:
    """Activations of the text tower in the shared-prefix form.

    Args:
        activations: ``[groups, shared + own, width]``.
        shared: number of tokens that begin every text, prompt tokens included.
        texts: the layout of the other tokens.
    """

    activations: Activations
    shared: int
    texts: TokenizedTexts

    @property
    def prompt(self) -> TextPrompt:
        """The shared tokens after the start-of-text token."""
        return self.activations[:, 1 : self.shared]

    def insert(self, prompt: TextPrompt) -> "TextTokens":
        """Put prompt tokens after the start-of-text token, one prefix per group of ``prompt``."""
        x = self.activations.expand(prompt.shape[0], -1, -1)
        x = torch.cat([x[:, :1], prompt.to(x.dtype), x[:, 1:]], dim=1)
        return TextTokens(x, self.shared + prompt.shape[1], self.texts)

    def write(self, prompt: TextPrompt) -> "TextTokens":
        """Replace the first ``prompt.shape[1]`` tokens after start-of-text."""
        x = self.activations
        x = torch.cat([x[:, :1], prompt.to(x.dtype), x[:, 1 + prompt.shape[1] :]], dim=1)
        return self.with_activations(x)

    def write_each(self, prompts: Float[Tensor, "texts length width"]) -> "TextTokens":
        """Replace the first ``length`` of each text's own tokens, texts in the caller's order.

        ``TokenizedTexts.with_room`` makes the tokens that are replaced.
        """
        x, starts = self.activations, self._own_positions(offset=0)
        index = (starts[:, None] + torch.arange(prompts.shape[1])).flatten().to(x.device)
        values = prompts.to(x.dtype).flatten(0, 1).expand(x.shape[0], -1, -1)
        return self.with_activations(x.index_copy(1, index, values))

    def with_activations(self, activations: Activations) -> "TextTokens":
        """The same layout with other activations."""
        return replace(self, activations=activations)

    def positions(self) -> Int[Tensor, " tokens"]:
        """The position of each token in its own text, counted from the start-of-text token."""
        own = [
            torch.arange(self.shared, self.shared + bucket.length).repeat(bucket.texts)
            for bucket in self.texts.buckets
        ]
        return torch.cat([torch.arange(self.shared), *own]).to(self.activations.device)

    def ends(self) -> Float[Tensor, "groups texts width"]:
        """The end-of-text token of every text, in the caller's order."""
        return self.activations[:, self._own_positions(offset=-1).to(self.activations.device)]

    def parts(self, most: int | None) -> list["TextTokens"]:
        """Split into parts with some of the texts each; exact, as texts do not see one another.

        A part holds whole groups where one fits, so that nothing is computed more than once;
        otherwise some texts of one group, with its shared tokens.

        Args:
            most: largest number of tokens in a part, unless one text has more; None for no limit.
        """
        x = self.activations
        groups, tokens = x.shape[:2]
        if most is None or groups * tokens <= most:
            return [self]
        if groups == 1:
            return self._parts_of_a_group(most)
        some = x.split(max(1, most // tokens))
        return [part for x in some for part in self.with_activations(x).parts(most)]

    def _parts_of_a_group(self, most: int) -> list["TextTokens"]:
        lengths = [len(self.texts.own[text]) for text in self.texts.order]
        room = max(1, most - self.shared)
        parts, first, start, own = [], 0, self.shared, 0
        for text, length in enumerate([*lengths, room + 1]):  # the last one closes the last part
            if own and own + length > room:
                x = self.activations[:, start : start + own]
                x = torch.cat([self.activations[:, : self.shared], x], dim=1)
                parts.append(TextTokens(x, self.shared, self.texts.part(first, text)))
                first, start, own = text, start + own, 0
            own += length
        return parts

    def join(self, parts: Sequence[Float[Tensor, "_ _ width"]]) -> "TextTokens":
        """The same layout with the new activations of every part."""
        rows = []
        for first, *others in self._by_groups(parts):
            rows.append(torch.cat([first, *(x[:, self.shared :] for x in others)], dim=1))
        return self.with_activations(torch.cat(rows))

    def join_ends(self, parts: Sequence[Float[Tensor, "_ _ width"]]) -> "TextTokens":
        """The end-of-text tokens alone, from the new activations of every part."""
        rows = self._by_groups(parts)
        ends = torch.cat([torch.cat(row, dim=1) for row in rows])
        if len(rows[0]) > 1:  # otherwise they are in the caller's order
            ends = ends[:, torch.tensor(self.texts.order, device=ends.device).argsort()]
        own = tuple(ids[-1:] for ids in self.texts.own)
        return TextTokens(ends, 0, replace(self.texts, shared=(), own=own))

    def _by_groups(self, parts: Sequence[Tensor]) -> list[list[Tensor]]:
        """The activations of ``parts``, grouped as the parts are."""
        together = max(1, len(parts) // self.activations.shape[0])
        return [[*parts[i : i + together]] for i in range(0, len(parts), together)]

    def attend(self, query: Heads, key: Heads, value: Heads) -> Heads:
        """Causal attention within each text; the shared keys and values are never repeated."""
        shared = self.shared
        parts = [
            scaled_dot_product_attention(
                query[:, :, :shared], key[:, :, :shared], value[:, :, :shared], is_causal=True
            )
        ]
        for bucket in self.texts.buckets:
            own = query[:, :, shared:][:, :, bucket.start : bucket.stop]
            own = own.unflatten(2, (bucket.texts, bucket.length))
            parts.append(self._attend_within(bucket, own, key, value))
        return torch.cat(parts, dim=2)

    def attend_from_ends(self, query: Ends, key: Heads, value: Heads) -> Ends:
        """``attend`` for the end-of-text tokens alone, in the caller's order."""
        order = torch.tensor(self.texts.order, device=query.device)
        parts, start = [], 0
        for bucket in self.texts.buckets:
            ends = query[:, :, order[start : start + bucket.texts], None]
            parts.append(self._attend_within(bucket, ends, key, value))
            start += bucket.texts
        return torch.cat(parts, dim=2)[:, :, order.argsort()]

    def _attend_within(self, bucket: Bucket, query: Queries, key: Heads, value: Heads) -> Attended:
        """Attention of the last tokens of each text of a bucket, within that text."""
        queries, size = query.shape[3], (bucket.texts, bucket.length)
        query = query * query.shape[-1] ** -0.5
        to_shared = query.flatten(2, 3) @ key[:, :, : self.shared].transpose(-1, -2)
        k, v = (
            x[:, :, self.shared :][:, :, bucket.start : bucket.stop].unflatten(2, size)
            for x in (key, value)
        )
        future = torch.ones(queries, bucket.length, dtype=torch.bool, device=query.device)
        future = future.triu(1 + bucket.length - queries)
        to_own = (query @ k.transpose(-1, -2)).masked_fill(future, -torch.inf)
        scores = torch.cat([to_shared.unflatten(2, (bucket.texts, queries)), to_own], dim=-1)
        weights = softmax(scores, dim=-1)
        # one product for all texts, as they share these values
        from_shared = weights[..., : self.shared].flatten(2, 3) @ value[:, :, : self.shared]
        return from_shared + (weights[..., self.shared :] @ v).flatten(2, 3)

    def _own_positions(self, offset: int) -> Int[Tensor, " texts"]:
        """Index of each text's own token ``offset``, in the caller's order."""
        positions = [
            torch.arange(bucket.start, bucket.stop, bucket.length) + offset % bucket.length
            for bucket in self.texts.buckets
        ]
        index = torch.empty(len(self.texts.order), dtype=torch.long)
        index[torch.tensor(self.texts.order)] = self.shared + torch.cat(positions)
        return index
