import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, layer_norm, linear, normalize

from crossprompt.classifier.classifier import freeze
from crossprompt.classifier.loading import load
from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods import build_method
from crossprompt.methods import templates as descriptions
from crossprompt.methods.features import Examples
from crossprompt.methods.hicropl import HiCroPL, Mapper, ProxySummary
from crossprompt.methods.prompts import encode_prompted_images, encode_prompted_texts
from tests.backbone import EVEN, NAMES, even_clip, random_images
from tests.clip.random_clip import make_clip

HEADS = 8
TEMPLATE = "a photo of a {}."
FINE = {name: ["x"] for name in NAMES}
"""Descriptions."""


@pytest.fixture(scope="module")
def clip() -> CLIP:
    """Towers of four blocks: two in either direction."""
    image, text = replace(EVEN.image, blocks=4), replace(EVEN.text, blocks=4)
    return make_clip(replace(EVEN, image=image, text=text))


def build(clip: CLIP, **options: Any) -> HiCroPL:
    method = build_method("hicropl", clip, NAMES, **{"length": 3, **options})
    assert isinstance(method, HiCroPL)
    return method


def norm(layer: nn.LayerNorm, x: Tensor) -> Tensor:
    return layer_norm(x, x.shape, layer.weight, layer.bias)


def ask(attention: nn.MultiheadAttention, query: Tensor, keys: list, values: list) -> Tensor:
    """One token asks some others, head by head."""
    width = query.shape[0]
    rows = attention.in_proj_weight.split(width), attention.in_proj_bias.split(width)
    q, k, v = (
        [linear(x, weight, bias) for x in tokens]
        for tokens, weight, bias in zip(([query], keys, values), *rows, strict=True)
    )
    answer = torch.empty(width)
    for head in range(HEADS):
        part = slice(head * width // HEADS, (head + 1) * width // HEADS)
        scores = torch.stack([q[0][part] @ key[part] for key in k]) / (width // HEADS) ** 0.5
        weights = scores.exp() / scores.exp().sum()
        answer[part] = sum(weight * value[part] for weight, value in zip(weights, v, strict=True))
    return linear(answer, attention.out_proj.weight, attention.out_proj.bias)


def summed_up(summary: ProxySummary, prompt: Tensor) -> Tensor:
    tokens = [norm(summary.norm_1, token) for token in prompt]
    (proxy,) = summary.proxy
    answer = ask(summary.attention, norm(summary.norm_1, proxy), tokens, tokens)
    return norm(summary.norm_2, proxy + answer)


def mapped(mapper: Mapper, token: Tensor, proxies: list[Tensor]) -> Tensor:
    query = mapper.query(token)
    keys = [norm(mapper.norm_1, mapper.key(proxy)) for proxy in proxies]
    values = [norm(mapper.norm_1, mapper.value(proxy)) for proxy in proxies]
    x = query + ask(mapper.attention, norm(mapper.norm_1, query), keys, values)
    hidden = linear(norm(mapper.norm_2, x), mapper.mlp[0].weight, mapper.mlp[0].bias)
    hidden = hidden * (1.702 * hidden).sigmoid()
    return x + linear(hidden, mapper.mlp[2].weight, mapper.mlp[2].bias)


def test_the_prompts_are_those_of_the_formula_token_by_token(clip: CLIP) -> None:
    method = build(clip, turn=3)
    for parameter in method.parameters():  # so that no norm is one and no bias zero
        parameter.data += 0.1 * torch.randn(
            parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())
        )
    image, text = method.prompts()
    T, V = method.text_prompts, method.image_prompts  # noqa: N806
    proxies = [summed_up(method.to_image.summaries[i], T[i]) for i in range(3)]
    for i in range(3):
        expected = torch.stack([mapped(method.to_image.mapper, v, proxies) for v in V[i]])
        torch.testing.assert_close(image[i], expected, atol=1e-5, rtol=1e-5)
        assert torch.equal(text[i][0], T[i])
    proxies = [summed_up(method.to_text.summaries[0], V[3])]
    expected = torch.stack([mapped(method.to_text.mapper, t, proxies) for t in T[3]])
    torch.testing.assert_close(text[3][0], expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(image[3], V[3])


def test_mappers_and_proxies_move(clip: CLIP) -> None:
    """In the authors' code they never do."""
    method, images = build(clip), random_images(4)
    before = {name: x.detach().clone() for name, x in method.named_parameters()}
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    method.loss(clip, images, torch.tensor([0, 1, 2, 3])).backward()
    optimizer.step()
    still = [name for name, x in method.named_parameters() if torch.equal(x, before[name])]
    assert still == []
    assert "to_image.summaries.0.proxy" in before
    assert "to_text.mapper.key.weight" in before


def test_what_is_written_has_a_gradient_by_what_was_read(clip: CLIP) -> None:
    method = build(clip)
    image, text = method.prompts()
    for written, read, blocks in (
        (image[1], method.text_prompts, [True, True, False, False]),
        (text[3], method.image_prompts, [False, False, True, True]),
    ):
        # not their sum, most of which norms take away
        (gradient,) = torch.autograd.grad(written.square().sum(), read, retain_graph=True)
        reached = gradient.flatten(1).any(1).tolist()
        assert reached == blocks


def test_prompts_do_not_drift_however_often_they_are_used(clip: CLIP) -> None:
    method, images = build(clip), random_images(2)
    first, scores = method.prompts(), method(clip, images)
    for _ in range(3):
        method.train()(clip, images)
        method.eval()(clip, images)
    again = method.prompts()
    for was, now in zip(first, again, strict=True):
        assert all(torch.equal(was[block], now[block]) for block in was)
    assert torch.equal(method(clip, images), scores)


def test_features_and_loss_are_those_of_the_formula(clip: CLIP) -> None:
    method, images, labels = build(clip, weight=5.0), random_images(3), torch.tensor([0, 1, 2])
    image_prompts, text_prompts = method.prompts()
    frozen = normalize(clip.encode_images(images), dim=-1)
    texts = [TEMPLATE.replace("{}", name) for name in NAMES]
    e = normalize(clip.encode_texts(clip.tokenizer.tokenize_texts(texts, NAMES))[0], dim=-1)
    image = normalize(encode_prompted_images(clip, images, image_prompts), dim=-1) + frozen
    text = normalize(encode_prompted_texts(clip, method.names, text_prompts)[0], dim=-1) + e
    image, text = image / image.norm(dim=1, keepdim=True), text / text.norm(dim=1, keepdim=True)
    scores = clip.logit_scale.exp() * image @ text.T
    torch.testing.assert_close(method(clip, images), scores)
    distance = (1 - (text * e).sum(1).mean()) + (1 - (image * frozen).sum(1).mean())
    expected = cross_entropy(scores, labels) + 5 * distance
    torch.testing.assert_close(method.loss(clip, images, labels), expected)


def write(path: Path, content: Any) -> str:
    path.write_text(json.dumps(content), "utf-8")
    return str(path)


def test_a_class_is_the_mean_of_its_descriptions(clip: CLIP, tmp_path: Path) -> None:
    sentences = {name: [f"a photo of a {name}", f"red {name}"] for name in NAMES}
    sentences["cat"] = ["a tabby cat"]
    path = write(tmp_path / "texts.json", {**sentences, "unknown": ["dogs"]})
    method = build(clip, descriptions=path)
    for number, name in enumerate(NAMES):
        tokens = clip.tokenizer.tokenize_texts(sentences[name], sentences[name])
        expected = normalize(clip.encode_texts(tokens)[0], dim=-1).mean(0)
        found = method.texts.features(clip)[number]
        torch.testing.assert_close(found, expected / expected.norm())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (["cat"], r"texts\.json"),
        ({"cat": ["cat"], "Dogs": ["x"]}, "'yorkshire terrier'"),
        ({**FINE, "cat": []}, r"texts\.json.*'cat'"),
        ({**FINE, "cat": "x"}, r"texts\.json.*'cat'"),
        ({**FINE, "cat": ["cat " * 99]}, "'cat: cat cat.* needs"),
    ],
)
def test_descriptions_that_lack_something_are_an_error(
    clip: CLIP, tmp_path: Path, content: Any, message: str
) -> None:
    path = write(tmp_path / "texts.json", content)
    with pytest.raises(RequestError, match=message):
        build(clip, descriptions=path).prepare(clip, Examples(clip, []))


def test_a_file_that_is_no_json_is_an_error(clip: CLIP, tmp_path: Path) -> None:
    (tmp_path / "texts.json").write_text("{")
    with pytest.raises(RequestError, match=r"texts\.json"):
        build(clip, descriptions=str(tmp_path / "texts.json"))


def test_a_file_without_end_is_not_read(
    clip: CLIP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RequestError, match=str(tmp_path)):  # a folder is no file, nor is a device
        build(clip, descriptions=str(tmp_path)).prepare(clip, Examples(clip, []))
    path = write(tmp_path / "texts.json", FINE)
    monkeypatch.setattr(descriptions, "LARGEST", 9)
    with pytest.raises(RequestError, match=r"texts\.json .* 9 bytes"):
        build(clip, descriptions=path)


def test_a_saved_classifier_does_not_need_the_descriptions(clip: CLIP, tmp_path: Path) -> None:
    path = write(tmp_path / "texts.json", {name: [name] for name in NAMES})
    classifier = freeze(build(clip, descriptions=path), clip)
    expected = classifier.logits(random_images(3))
    classifier.save(tmp_path / "run")
    Path(path).unlink()
    loaded = load(tmp_path / "run", clip)
    torch.testing.assert_close(loaded.logits(random_images(3)), expected)
    with pytest.raises(RequestError, match=r"texts\.json .*--descriptions"):
        loaded.method(clip, random_images(1))


def test_other_classes_are_taken_from_the_descriptions(clip: CLIP, tmp_path: Path) -> None:
    path = write(tmp_path / "texts.json", {name: [f"a {name}"] for name in (*NAMES, "tram", "bus")})
    method = build(clip, descriptions=path).eval()
    found = method.with_class_names(clip, ("tram", "bus"))
    expected = build_method("hicropl", clip, ("tram", "bus"), **method.config.to_json())
    expected.load_state_dict(method.state_dict())
    images = random_images(2)
    torch.testing.assert_close(found(clip, images), expected(clip, images))


@pytest.mark.parametrize(("blocks", "turn"), [(2, 1), (3, 1), (4, 2), (12, 6)])
def test_the_default_has_prompts_in_all_blocks_and_turns_in_the_middle(blocks, turn) -> None:
    image, text = replace(EVEN.image, blocks=blocks), replace(EVEN.text, blocks=blocks)
    method = build(make_clip(replace(EVEN, image=image, text=text)), length=1)
    assert (method.depth, method.turn) == (blocks, turn)
    assert [len(method.to_image.summaries), len(method.to_text.summaries)] == [turn, blocks - turn]


def test_the_recipe_is_the_published_one() -> None:
    recipe = HiCroPL.recipe(16)
    assert (recipe.optimizer, recipe.lr, recipe.eps) == ("adam", 2.5e-3, 1e-3)
    assert (recipe.epochs, recipe.batch_size, recipe.schedule) == (50, 32, "warm-up-cosine")
    config = HiCroPL.Config()
    assert (config.length, config.depth, config.weight) == (16, 12, 12.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "length is 0"),
        ({"depth": 1}, "depth is 1"),
        ({"depth": 13}, "depth is 13 .* 3 blocks"),
        ({"depth": 2, "turn": 2}, "turn is 2"),
        ({"turn": 3}, "block 3 of 3"),
        ({"weight": -1.0}, "weight is -1.0"),
        ({"template": ["a"]}, "template is 'a'"),
        ({"length": 5, "initial_words": "a b c d e"}, "initial_words .* length is 5"),
        ({"length": 10**6}, "'yorkshire terrier' .*1000005"),
    ],
)
def test_an_impossible_setting_is_an_error_that_names_it(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        build(even_clip(), **options)


def test_towers_that_its_heads_do_not_divide_are_an_error() -> None:
    clip = make_clip(replace(EVEN, text=replace(EVEN.text, width=60)))
    with pytest.raises(RequestError, match="widths 128 and 60"):
        build(clip)
