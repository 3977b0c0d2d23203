"""CLIP's lower-case byte-pair tokenizer, run by the ``tokenizers`` library.

The ids of the start and end of text are looked up by token, so that a checkpoint with its own
vocabulary works.
"""

from collections.abc import Sequence
from os import PathLike

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors

from crossprompt.clip.text_engine import TokenizedTexts
from crossprompt.errors import RequestError

START = "<|startoftext|>"
END = "<|endoftext|>"
SUFFIX = "</w>"
"""Ending of a token that ends a word."""
WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)
"""CLIP's pattern of a word (openai/CLIP, clip/simple_tokenizer.py:78)."""


class Tokenizer:
    """Text to token ids.

    Args:
        backend: a tokenizer of the ``tokenizers`` library that knows CLIP's start and end of text.

    Raises:
        RequestError: the vocabulary lacks one of them.
    """

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        backend.no_padding()  # a tokenizer.json may ask for both; here a text keeps its own length
        backend.no_truncation()
        self._backend = backend
        self.start = self._id(START)
        self.end = self._id(END)
        backend.add_special_tokens([START, END])  # never split, also where they stand in a text
        if backend.post_processor is None:  # other programs read the saved file
            backend.post_processor = processors.RobertaProcessing(
                (END, self.end), (START, self.start), trim_offsets=False, add_prefix_space=False
            )

    @classmethod
    def from_file(
        cls, path: str | PathLike[str], merges: str | PathLike[str] | None = None
    ) -> "Tokenizer":
        """Read a ``tokenizer.json``, or a ``vocab.json`` and its ``merges.txt``.

        Raises:
            RequestError: a file is damaged, or lacks the start or end of text.
        """
        try:
            if merges is None:
                return cls(tokenizers.Tokenizer.from_file(str(path)))
            files = str(path), str(merges)
            model = models.BPE.from_file(*files, unk_token=END, end_of_word_suffix=SUFFIX)
            return cls(clip_backend(model))
        except Exception as error:  # the library raises no narrower type
            beside = f" with {merges}" if merges else ""
            raise RequestError(f"{path}{beside} is no vocabulary of CLIP's: {error}") from error

    @property
    def size(self) -> int:
        """Number of ids."""
        return int(self._backend.get_vocab_size(with_added_tokens=True))

    def word(self, id: int) -> str:
        """The text of a token; ``…`` follows one that does not end a word."""
        token = str(self._backend.id_to_token(id))
        if token in (START, END):
            return token
        ends, text = token.endswith(SUFFIX), self._backend.decode([id]).removesuffix(SUFFIX)
        if not text.isprintable() or "\N{REPLACEMENT CHARACTER}" in text:  # part of a letter
            text = token.removesuffix(SUFFIX)
        return text if ends else f"{text}…"

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without start and end.

        Raises:
            RequestError: part of the text is not in the vocabulary, or is a start or end of text.
        """
        ids: list[int] = self._backend.encode(text, add_special_tokens=False).ids
        if self.start in ids or self.end in ids:  # CLIP's unknown token is the end of text
            raise RequestError(
                f"{text!r} cannot be tokenized: part of it is not in the vocabulary, or is "
                f"{START} or {END}; reword it"
            )
        return ids

    def tokenize_names(self, names: Sequence[str], suffix: str = ".") -> TokenizedTexts:
        """Tokenize class names, each followed by ``suffix``; they share the start of text alone.

        Raises:
            RequestError: there is no name, or one is blank or cannot be tokenized.
        """
        if not names:
            raise RequestError("no class names were given; at least one is needed")
        for name in names:
            if not self.encode(name):
                raise RequestError(f"class name {name!r} is blank; give it a name")
        own = tuple((*self.encode(name + suffix), self.end) for name in names)
        return TokenizedTexts((self.start,), own, tuple(names))

    def tokenize_texts(
        self, texts: Sequence[str], labels: Sequence[str] | None = None
    ) -> TokenizedTexts:
        """Tokenize complete texts, such as filled templates; they share their common beginning.

        ``labels`` name the texts in errors, by default the texts themselves.

        Raises:
            RequestError: there is no text, not one label per text, or one cannot be tokenized.
        """
        labels = texts if labels is None else labels
        if not texts or len(labels) != len(texts):
            raise RequestError(
                f"got {len(texts)} texts and {len(labels)} labels; expected one label per text, "
                "and at least one"
            )
        return TokenizedTexts.of(
            [[self.start, *self.encode(text), self.end] for text in texts], labels
        )

    def save(self, path: str | PathLike[str]) -> None:
        """Write a ``tokenizer.json`` that ``from_file`` and ``transformers`` read."""
        self._backend.save(str(path))

    def _id(self, token: str) -> int:
        if (found := self._backend.token_to_id(token)) is None:
            raise RequestError(f"it has no {token}; expected the tokenizer of a CLIP checkpoint")
        return int(found)


def clip_backend(model: models.BPE) -> tokenizers.Tokenizer:
    """CLIP's text handling around a byte-pair model: lower case, single spaces, words, bytes."""
    backend = tokenizers.Tokenizer(model)
    backend.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    return backend
