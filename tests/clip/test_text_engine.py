import pytest
import torch
from torch import Tensor

from crossprompt.clip.model import CLIP
from crossprompt.clip.text_engine import TextTokens, TokenizedTexts
from crossprompt.errors import RequestError
from crossprompt.training.memory import Recompute, applied
from tests.clip.dense_text import dense_text_features
from tests.clip.random_clip import SMALL, make_clip

NAMES = ("yorkshire terrier", "cat", "hot air balloon", "dogs", "tabby cat", "red dogs and cats")


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return make_clip()


@pytest.fixture(scope="module")
def names(clip: CLIP) -> TokenizedTexts:
    return clip.tokenizer.tokenize_names(NAMES)


def draw(groups: int, length: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(groups, length, SMALL.text.width, generator=generator).requires_grad_()


def shared_features(clip: CLIP, texts: TokenizedTexts, prompts: dict[int, Tensor]) -> Tensor:
    tokens = clip.text.enter(clip.text.embed(texts).insert(prompts[0]))
    for depth, block in enumerate(clip.text.blocks):
        if depth and depth in prompts:
            tokens = tokens.write(prompts[depth])
        tokens = block(tokens)
    return clip.text.pool(tokens)


def test_unprompted_texts_equal_the_dense_computation(clip: CLIP, names: TokenizedTexts) -> None:
    assert len({len(own) for own in names.own}) > 2  # several buckets
    expected = dense_text_features(clip, names)
    assert expected.abs().mean() > 0.1  # the tolerance means something
    torch.testing.assert_close(clip.encode_texts(names), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("depths", [(0,), (0, 1), (0, 2)])
def test_prompted_texts_and_the_prompts_gradients_equal_the_dense_computation(
    clip: CLIP, names: TokenizedTexts, groups: int, depths: tuple[int, ...]
) -> None:
    prompts = {depth: draw(groups, 4, seed=depth) for depth in depths}
    direction = torch.randn(groups, len(NAMES), SMALL.embed, generator=torch.Generator())

    features = shared_features(clip, names, prompts)
    gradients = torch.autograd.grad((features * direction).sum(), prompts.values())
    expected = dense_text_features(clip, names, prompts)
    expected_gradients = torch.autograd.grad((expected * direction).sum(), prompts.values())

    assert features.shape == (groups, len(NAMES), SMALL.embed)
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=0)
    for found, wanted in zip(gradients, expected_gradients, strict=True):
        assert wanted.abs().amax() > 1e-3
        scale = wanted.abs().amax()
        torch.testing.assert_close(found / scale, wanted / scale, atol=1e-5, rtol=0)


def test_texts_that_share_words_equal_the_dense_computation(clip: CLIP) -> None:
    texts = clip.tokenizer.tokenize_texts([f"a photo of a {name}." for name in NAMES])
    assert len(texts.shared) == 5
    features = clip.encode_texts(texts)
    torch.testing.assert_close(features, dense_text_features(clip, texts), atol=1e-5, rtol=0)
    apart = TokenizedTexts(
        (clip.tokenizer.start,),
        tuple((*texts.shared[1:], *own) for own in texts.own),
        texts.labels,
    )
    torch.testing.assert_close(features, clip.encode_texts(apart), atol=1e-5, rtol=0)


def test_features_come_in_the_callers_order(clip: CLIP) -> None:
    forward = clip.encode_texts(clip.tokenizer.tokenize_names(NAMES))
    backward = clip.encode_texts(clip.tokenizer.tokenize_names(NAMES[::-1]))
    torch.testing.assert_close(forward, backward.flip(1), atol=1e-6, rtol=0)
    alone = [clip.encode_texts(clip.tokenizer.tokenize_names([name]))[0, 0] for name in NAMES]
    torch.testing.assert_close(forward[0], torch.stack(alone), atol=1e-5, rtol=0)


def test_a_prompt_of_each_texts_own_equals_one_text_at_a_time(clip: CLIP) -> None:
    own_prompts = draw(len(NAMES), 3, seed=5)
    names = clip.tokenizer.tokenize_names(NAMES).with_room(3)
    tokens = clip.text.embed(names).write_each(own_prompts)
    tokens = clip.text.enter(tokens)
    for block in clip.text.blocks:
        tokens = block(tokens)
    features = clip.text.pool(tokens)
    for index, name in enumerate(NAMES):
        alone = clip.tokenizer.tokenize_names([name])
        expected = dense_text_features(clip, alone, {0: own_prompts[index : index + 1]})
        torch.testing.assert_close(features[:, index], expected[:, 0], atol=1e-5, rtol=0)


def test_the_shared_tokens_are_held_once(clip: CLIP, names: TokenizedTexts) -> None:
    tokens = clip.text.embed(names).insert(draw(1, 4, seed=0))
    assert tokens.activations.shape[1] == 5 + sum(len(own) for own in names.own)
    assert tokens.prompt.shape[1] == 4


def test_a_name_that_fills_the_context_is_taken_and_one_more_token_is_an_error(clip: CLIP) -> None:
    length = SMALL.text.context - 3  # start, full stop, end
    fitting, long = " ".join(["cat"] * length), " ".join(["cat"] * (length + 1))
    texts = clip.tokenizer.tokenize_names(["dogs", fitting])
    expected = dense_text_features(clip, texts)
    torch.testing.assert_close(clip.encode_texts(texts), expected, atol=1e-5, rtol=0)
    with pytest.raises(RequestError, match=rf"'{long}' needs 25 tokens .* holds 24; shorten"):
        clip.encode_texts(clip.tokenizer.tokenize_names(["dogs", long]))


def test_a_prompt_counts_towards_the_context_and_the_error_names_the_class(clip: CLIP) -> None:
    names = clip.tokenizer.tokenize_names(["cat", "yorkshire terrier"])
    own = max(len(ids) for ids in names.own)
    fitting = SMALL.text.context - 1 - own
    clip.text.enter(clip.text.embed(names).insert(draw(1, fitting, seed=0)))
    with pytest.raises(RequestError, match=rf"'yorkshire terrier'.*{fitting + 1} prompt tokens"):
        clip.text.enter(clip.text.embed(names).insert(draw(1, fitting + 1, seed=0)))


def test_the_longest_common_beginning_is_found_and_leaves_each_text_a_token() -> None:
    texts = TokenizedTexts.of([[7, 1, 2, 9], [7, 1, 9], [7, 1, 2, 3, 9]], ["a", "b", "c"])
    assert texts.shared == (7, 1)
    assert texts.own == ((2, 9), (9,), (2, 3, 9))
    same = TokenizedTexts.of([[7, 1, 9], [7, 1, 9]], ["a", "b"])
    assert (same.shared, same.own) == ((7, 1), ((9,), (9,)))
    with pytest.raises(RequestError, match="no texts"):
        TokenizedTexts.of([], [])


def test_writing_a_prompt_changes_nothing_else(clip: CLIP, names: TokenizedTexts) -> None:
    before = clip.text.embed(names).insert(draw(1, 4, seed=0))
    prompt = draw(1, 2, seed=1)
    after: TextTokens = before.write(prompt)
    assert torch.equal(after.prompt[:, :2], prompt)
    changed = (before.activations != after.activations).any(-1)[0].nonzero().flatten().tolist()
    assert changed == [1, 2]


@pytest.mark.parametrize("most", [1, 12, 28, 60, 90, 1000])
def test_groups_worked_on_by_parts_equal_the_dense_computation(
    clip: CLIP, names: TokenizedTexts, most: int
) -> None:
    groups, prompts = 3, draw(3, 4, seed=0)
    whole = clip.text.enter(clip.text.embed(names).insert(prompts))
    tokens = whole.activations.shape[1]
    sizes = [part.activations.shape[:2].numel() for part in whole.parts(most)]
    assert max(sizes) <= max(most, whole.shared + max(len(own) for own in names.own))
    if most >= tokens:  # whole groups: no token is worked on twice
        assert sum(sizes) == groups * tokens

    with applied(clip, Recompute(text=True, most_tokens=most)):
        features = shared_features(clip, names, {0: prompts})
    expected = dense_text_features(clip, names, {0: prompts})
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=0)
