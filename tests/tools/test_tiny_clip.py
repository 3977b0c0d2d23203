"""Pre-training of the embedded model: captions, pictures, loss and vocabulary."""

import math
import random

import pytest
import torch

from tools.pretrain_tiny_clip import Recipe, contrast, schedule
from tools.tiny_clip import pictures, vocabulary
from tools.tiny_clip.captions import Captions
from tools.tiny_clip.make_split import assign

EMOJI = [
    {"code": "1", "name": "dog", "kind": "mammal", "words": ["pet", "animal"]},
    {"code": "2", "name": "cat", "kind": "mammal", "words": ["pet"]},
    {"code": "3", "name": "zodiac", "kind": None, "words": []},
]


def test_a_caption_is_true_of_every_picture_that_it_describes():
    captions = Captions(EMOJI)
    assert captions.is_true(("words", "pet"), EMOJI[0])
    assert not captions.is_true(("words", "animal"), EMOJI[1])
    assert not captions.is_true(("name", "dog"), EMOJI[1])


def test_every_picture_has_its_own_caption():
    texts, true = Captions(EMOJI).draw([0, 1, 2, 0], random.Random(1))
    assert len(texts) == 4
    assert true.diagonal().all()
    assert true[0].tolist() == true[3].tolist()  # the same emoji twice


def test_the_loss_counts_every_true_pair():
    logits = torch.tensor([[9.0, 9.0, -9.0], [9.0, 9.0, -9.0], [-9.0, -9.0, 9.0]])
    pairs = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    # within the pair of equals each is as likely: log 2 for two rows of three, both ways
    assert contrast(logits, pairs).item() == pytest.approx(2 / 3 * math.log(2), abs=1e-4)
    one_each = torch.eye(3, dtype=torch.bool)
    assert contrast(logits, one_each).item() == pytest.approx(2 / 3 * math.log(2), abs=1e-4)
    wrong = torch.tensor([[False, False, True], [False, True, False], [True, False, False]])
    assert contrast(logits, wrong) > 5


def test_pictures_are_repeatable_and_keep_their_shape():
    art = torch.zeros(3, 4, 96, 96, dtype=torch.uint8)
    art[:, :, 20:70, 20:70] = 200
    drawn = [pictures.batch(art, 72, torch.Generator().manual_seed(5)) for _ in range(2)]
    assert drawn[0].shape == (3, 3, 72, 72)
    assert torch.equal(*drawn)
    assert not torch.equal(drawn[0][0], drawn[0][1])


def test_the_vocabulary_reaches_every_text():
    tokenizer = vocabulary.learn(["a photo of a dog", "a mammal"] * 4)
    for text in ("dog", "zèbre", "日本語", "x9!"):
        ids = tokenizer.encode(text).ids
        assert tokenizer.token_to_id(vocabulary.END) not in ids[1:-1]


def test_the_learning_rate_warms_up_and_ends_near_zero():
    recipe = Recipe(steps=1000)
    rates = [schedule(step, recipe) for step in range(1000)]
    assert rates[0] < 0.02
    assert max(rates) > 0.95
    assert rates[-1] < 0.001


def test_half_of_a_kind_is_kept_from_pretraining():
    emoji = [{"code": f"{number:X}"} for number in range(31)]
    kept, rest = assign(emoji, random.Random(1))
    assert (len(kept["train"]), len(kept["val"]), len(kept["test"])) == (8, 2, 5)
    assert len(rest) == 16
    assert {entry["code"] for entry in rest}.isdisjoint(
        code for split in kept.values() for code in split
    )
