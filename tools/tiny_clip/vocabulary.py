"""Tokenizer of the tiny model: CLIP's byte-level BPE, trained on the pre-training captions."""

import json

from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

START, END = "<|startoftext|>", "<|endoftext|>"
SIZE = 3072
# CLIP's pattern: the special tokens, contractions, letters, single digits, everything else
PATTERN = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)


def learn(texts: list[str]) -> Tokenizer:
    """Train merges on ``texts``; other texts fall back to smaller pieces, down to bytes."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=END, fuse_unk=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE - 2 - 256,  # every byte gets a word-ending form too
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.model = _with_every_byte(tokenizer)
    tokenizer.add_special_tokens([START, END])
    start, end = tokenizer.token_to_id(START), tokenizer.token_to_id(END)
    tokenizer.post_processor = processors.RobertaProcessing(
        (END, end), (START, start), add_prefix_space=False, trim_offsets=False
    )
    return tokenizer


def _with_every_byte(tokenizer: Tokenizer) -> models.BPE:
    """Put the merges in CLIP's vocabulary order: bytes, word-ending bytes, one entry per merge."""
    merges = [tuple(merge) for merge in json.loads(tokenizer.to_str())["model"]["merges"]]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [
        *alphabet,
        *(byte + "</w>" for byte in alphabet),
        *("".join(merge) for merge in merges),
    ]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    return models.BPE(vocabulary, merges, end_of_word_suffix="</w>", unk_token=END, fuse_unk=False)
