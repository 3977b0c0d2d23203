"""The contract of every method; an exception is a strict xfail with its reason."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from crossprompt.classifier.classifier import freeze
from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Item
from crossprompt.errors import RequestError
from crossprompt.methods import METHODS, Method, build_method
from crossprompt.methods.features import Examples
from tests.backbone import NAMES, even_clip, random_images, write_items
from tests.methods.cases import Case, cases

LABELS = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3])
NOTHING_IS_LEARNED = {
    "zero_shot": "nothing is learned",
    "tip_adapter": "nothing is learned: its keys are features of the training images",
}
DROPS = "what it drops is drawn from the global generator"
CACHE = "its values, alpha and beta are saved with it but never trained"


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    folder: Path = tmp_path_factory.mktemp("images")
    return write_items(folder, LABELS.tolist())


def snapshot(module: torch.nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def same(before: dict[str, Tensor], after: dict[str, Tensor]) -> bool:
    return before.keys() == after.keys() and all(
        torch.equal(x, after[k]) for k, x in before.items()
    )


def prepared(case: Case, clip: CLIP, items: list[Item]) -> Method:
    """As before its first step."""
    method = case.build(clip)
    method.prepare(clip, Examples(clip, items))
    return method


def descend(method: Method, clip: CLIP, images: Tensor, steps: int) -> list[float]:
    """Train on one batch; the loss before every step."""
    optimizer = torch.optim.Adam(method.parameters(), lr=0.01)  # fast at any scale of the gradient
    losses, inputs = [], method.encode_inputs(clip, images)
    for step in range(steps):
        torch.manual_seed(step)  # as training does, for methods with dropout
        optimizer.zero_grad()
        loss = method.loss(clip, inputs, LABELS[: len(images)])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@cases()
def test_there_is_one_column_per_class(case: Case, clip: CLIP) -> None:
    logits = case.build(clip)(clip, random_images(3))
    assert logits.shape == (3, len(NAMES))
    assert logits.dtype == torch.float32


@cases(
    {
        **NOTHING_IS_LEARNED,
        "dcp-variant=released": "as in the authors' code, 14 of 30 tensors never get a gradient",
        "hicropl": "of 3 blocks one direction has one, and to ask a single proxy takes no key",
        "clip_lora": "where B is zero, as at the start, A has no gradient",
    }
)
def test_a_step_moves_every_parameter(case: Case, clip: CLIP, items: list[Item]) -> None:
    method = prepared(case, clip, items)
    before = snapshot(method)
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    # not as many of each class: a bias would have no gradient
    inputs = method.encode_inputs(clip, random_images(3))
    method.loss(clip, inputs, LABELS[:3]).backward()
    optimizer.step()
    gradients = {key: parameter.grad for key, parameter in method.named_parameters()}
    rounding = 1e-7  # a kernel may leave noise where the gradient is exactly 0
    still = [key for key, x in gradients.items() if x is None or x.abs().max() < rounding]
    assert gradients
    assert not still
    assert [
        key for key, value in method.named_parameters() if torch.equal(value, before[key])
    ] == []


@cases(NOTHING_IS_LEARNED)
def test_steps_leave_clip_and_what_is_not_learned_as_it_is(
    case: Case, clip: CLIP, items: list[Item]
) -> None:
    method = prepared(case, clip, items)
    learned = dict(method.named_parameters())
    clip_before, before = snapshot(clip), snapshot(method)
    descend(method, clip, random_images(4), 3)
    after = method.state_dict()
    moved = [key for key in before if not torch.equal(before[key], after[key])]
    assert moved
    assert set(moved) <= set(learned)
    assert same(clip_before, clip.state_dict())
    assert all(parameter.grad is None for parameter in clip.parameters())


@cases({**NOTHING_IS_LEARNED, "prograd": "it takes out what opposes zero-shot CLIP"})
def test_a_step_follows_the_gradient_of_the_loss(case: Case, clip: CLIP, items: list[Item]) -> None:
    method, labels = prepared(case, clip, items).eval(), LABELS[:3]
    inputs = method.encode_inputs(clip, random_images(3))
    loss = method.loss(clip, inputs, labels)
    learned = dict(method.named_parameters())
    expected = torch.autograd.grad(loss, [*learned.values()], allow_unused=True)
    torch.testing.assert_close(method.backward(clip, inputs, labels), loss)
    for (key, parameter), gradient in zip(learned.items(), expected, strict=True):
        torch.testing.assert_close(
            parameter.grad, gradient, msg=lambda text, key=key: f"{key}: {text}"
        )


@cases({"tip_adapter": CACHE, "tip_adapter_f": CACHE})
def test_the_checkpoint_holds_the_parameters_and_nothing_else(case: Case, clip: CLIP) -> None:
    method = case.build(clip)
    assert method.state_dict().keys() == dict(method.named_parameters()).keys()


@cases()
def test_a_method_holds_numbers_in_fp32_and_no_backbone(
    case: Case, clip: CLIP, items: list[Item]
) -> None:
    method = prepared(case, clip, items)
    assert all(value.dtype == torch.float32 for value in method.state_dict().values())
    assert not any(isinstance(module, CLIP) for module in method.modules())
    assert not any(isinstance(value, CLIP) for value in vars(method).values())


@cases()
def test_the_checkpoint_round_trips_strictly(case: Case, clip: CLIP, items: list[Item]) -> None:
    method, other = case.build(clip, seed=1), case.build(clip, seed=2)
    method.prepare(clip, Examples(clip, items))
    other.load_state_dict(method.state_dict(), strict=True)
    images = random_images(3)
    assert torch.equal(method(clip, images), other(clip, images))


@cases({"clip_lora by default": DROPS})
def test_a_forward_pass_changes_nothing(case: Case, clip: CLIP) -> None:
    method, images = case.build(clip).train(), random_images(4)
    before, clip_before, images_before = snapshot(method), snapshot(clip), images.clone()
    generators = torch.get_rng_state(), np.random.get_state()[1].tolist()
    first, second = method(clip, images), method(clip, images)
    assert same(before, method.state_dict())
    assert same(clip_before, clip.state_dict())
    assert torch.equal(images, images_before)
    assert torch.equal(first, second)
    assert torch.equal(generators[0], torch.get_rng_state())
    assert generators[1] == np.random.get_state()[1].tolist()


@cases()
def test_once_frozen_an_image_is_scored_alike_in_any_batch(
    case: Case, clip: CLIP, items: list[Item]
) -> None:
    method = case.build(clip)
    method.prepare(clip, Examples(clip, items))
    classifier, images = freeze(method, clip, items), random_images(7, seed=5)
    together = classifier.logits(images)
    assert together.std() > 0.1  # the tolerance means something
    alone = torch.cat([classifier.logits(image[None]) for image in images])
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(classifier.logits(images[order]), together[order], atol=1e-5, rtol=0)
    crowd = torch.cat([images, 9 * random_images(3, seed=6)])
    torch.testing.assert_close(classifier.logits(crowd)[:7], together, atol=1e-5, rtol=0)


@cases()
def test_the_same_seed_gives_the_same_method(case: Case, clip: CLIP) -> None:
    torch.manual_seed(0)
    one, state = case.build(clip, seed=3), torch.get_rng_state()
    torch.manual_seed(0)
    assert torch.equal(torch.get_rng_state(), state)  # the global generator is left alone
    torch.manual_seed(1)
    two = case.build(clip, seed=3)
    assert same(one.state_dict(), two.state_dict())
    images = random_images(2)
    assert torch.equal(one(clip, images), two(clip, images))


@cases(NOTHING_IS_LEARNED)
def test_the_same_steps_give_the_same_method(case: Case, clip: CLIP, items: list[Item]) -> None:
    one, two = (prepared(case, clip, items) for _ in range(2))
    before = snapshot(one)
    assert descend(one, clip, random_images(4), 3) == descend(two, clip, random_images(4), 3)
    assert same(one.state_dict(), two.state_dict())
    assert not same(before, one.state_dict())


@cases(
    {
        "zero_shot": "nothing is learned",
        "linear_probe": "the problem is convex: it starts from zero and is solved",
        "tip_adapter": "it starts from the training images",
        "tip_adapter_f": "it starts from the training images",
        "taskres": "it starts from zero",
        "coop-initial_words=a photo of a": "it starts from words",
        "kgcoop by default": "it starts from words",
        "prograd by default": "it starts from words",
    }
)
def test_different_seeds_give_different_methods(case: Case, clip: CLIP) -> None:
    one, two = (case.build(clip, seed=seed).state_dict() for seed in (1, 2))
    assert not all(torch.equal(value, two[key]) for key, value in one.items())


@cases(NOTHING_IS_LEARNED)
def test_the_loss_falls_on_eight_images_in_twenty_steps(
    case: Case, clip: CLIP, items: list[Item]
) -> None:
    losses = descend(prepared(case, clip, items), clip, random_images(8), steps=20)
    assert losses[-1] < 0.95 * losses[0]


@cases({"dcp": "its prompts depend on the images until it is frozen"})
def test_frozen_and_unfrozen_agree_on_any_images(case: Case, clip: CLIP, items: list[Item]) -> None:
    method, images = case.build(clip), random_images(5)
    method.prepare(clip, Examples(clip, items))
    expected = method(clip, images)
    torch.testing.assert_close(freeze(method, clip, items).logits(images), expected.detach())


@cases()
def test_frozen_and_unfrozen_agree_on_the_calibration_batch(
    case: Case, clip: CLIP, items: list[Item]
) -> None:
    method, examples = case.build(clip), Examples(clip, items)
    method.prepare(clip, examples)
    expected = method(clip, examples.calibration).detach()
    found = freeze(method, clip, items).logits(examples.calibration)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


OF_ITS_CLASSES = "what it has learned is of its own classes"


@cases(
    {
        "linear_probe": OF_ITS_CLASSES,
        "tip_adapter": OF_ITS_CLASSES,
        "tip_adapter_f": OF_ITS_CLASSES,
        "taskres": OF_ITS_CLASSES,
        "coop-class_specific=True": OF_ITS_CLASSES,
    }
)
def test_with_other_class_names_the_learned_tensors_and_the_image_side_stay(
    case: Case, clip: CLIP, items: list[Item]
) -> None:
    method, images = case.build(clip).eval(), random_images(3)
    method.prepare(clip, Examples(clip, items))
    with torch.no_grad():
        for parameter in method.parameters():  # something that no start value is
            parameter.mul_(1.1).add_(0.01)
    before = snapshot(method)
    others = (*reversed(NAMES), "a red car")
    renamed = method.with_class_names(clip, others)
    assert renamed.class_names == others
    assert same(before, renamed.state_dict())
    assert same(before, method.state_dict())
    assert method.class_names == NAMES
    order = [len(NAMES) - 1 - position for position in range(len(NAMES))]
    expected = method(clip, images)[:, order]
    torch.testing.assert_close(renamed(clip, images)[:, :-1], expected, atol=1e-4, rtol=0)


@cases()
def test_a_method_says_whether_what_it_learns_is_of_its_classes(case: Case, clip: CLIP) -> None:
    # as many other classes may hide that a tensor has a row for each: one more class does not
    one = case.build(clip)
    other = build_method(case.name, clip, (*NAMES, "a red car"), **case.options)
    shapes = [{key: x.shape for key, x in made.state_dict().items()} for made in (one, other)]
    assert (shapes[0] == shapes[1]) is (one.class_specific_parameters(one.config) is None)


@pytest.mark.parametrize("count", [4, 5])
@pytest.mark.parametrize(
    "case", [Case("linear_probe"), Case("coop", {"class_specific": True})], ids=str
)
def test_tensors_of_the_classes_are_not_taken_for_those_of_others(
    case: Case, count: int, clip: CLIP
) -> None:
    others = ("a", "b", "c", "d", "e")[:count]  # also as many as before
    with pytest.raises(RequestError, match=rf"{case.name} .* 4 classes"):
        case.build(clip).with_class_names(clip, others)


def test_a_setting_may_go_with_other_class_names(clip: CLIP) -> None:
    method = build_method("zero_shot", clip, NAMES)
    renamed = method.with_class_names(clip, ("a", "b"), template=("red {}",))
    expected = build_method("zero_shot", clip, ("a", "b"), template=("red {}",))
    images = random_images(2)
    assert torch.equal(renamed(clip, images), expected(clip, images))
    with pytest.raises(RequestError, match="'a'"):
        method.with_class_names(clip, ("a", "a"))
    with pytest.raises(RequestError, match=r"length .*text_prompt"):
        build_method("coop", clip, NAMES, length=2).with_class_names(clip, ("a", "b"), length=3)


def test_an_unknown_setting_is_an_error_that_names_it(clip: CLIP) -> None:
    with pytest.raises(RequestError, match=r"coop .*'lenght'"):
        build_method("coop", clip, NAMES, lenght=4)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("dcp", "length"),
        ("dcp", "share"),
        ("dcp", "variant"),
        ("kgcoop", "weight"),
        ("kgcoop", "template"),
        ("kgcoop", "initial_words"),
        ("hicropl", "turn"),
    ],
)
def test_a_setting_of_the_wrong_type_is_an_error_that_names_it(
    name: str, setting: str, clip: CLIP
) -> None:
    wrong: Any = {"not": "this"}
    with pytest.raises(RequestError, match=f"{name}: {setting} is "):
        build_method(name, clip, NAMES, **{setting: wrong})


@pytest.mark.parametrize("name", METHODS)
def test_every_setting_has_a_help_text(name: str) -> None:
    assert all(setting.help for setting in METHODS[name].Config.describe())
    assert METHODS[name].name == name
    assert METHODS[name].summary
    assert METHODS[name].paper
    assert METHODS[name].fidelity in ("faithful", "repaired", "reconstruction")
    assert bool(METHODS[name].difference) == (METHODS[name].fidelity != "faithful")
