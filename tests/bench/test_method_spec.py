"""Methods with settings, as they are typed."""

from dataclasses import dataclass

import pytest

from crossprompt.bench.method_spec import Choice, parse_method
from crossprompt.errors import RequestError
from crossprompt.methods import METHODS
from crossprompt.methods.coop import CoOp


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("dcp", Choice("dcp")),
        (
            "dcp:variant=released,epochs=30",
            Choice("dcp", {"variant": "released"}, {"epochs": 30}),
        ),
        ("dcp:share=false,batch-size=8", Choice("dcp", {"share": False}, {"batch_size": 8})),
        ("coop:lr=0.1,augment=off", Choice("coop", {}, {"lr": 0.1, "augment": False})),
        (
            "zero_shot:template=a photo of a {}, a bird.|red {}",
            Choice("zero_shot", {"template": ("a photo of a {}, a bird.", "red {}")}),
        ),
        ("coop:method.length=2,training.lr=1", Choice("coop", {"length": 2}, {"lr": 1.0})),
    ],
)
def test_settings_go_to_the_method_or_its_training(word, expected) -> None:
    assert parse_method(word) == expected


@pytest.mark.parametrize(
    ("word", "match"),
    [
        ("dpc", "'dpc'.*'dcp'"),
        ("dcp:epoch=3", "'epoch'.*'epochs'"),
        ("dcp:zzz=3", "'zzz'.* length, "),
        ("dcp:length", "'length'.*NAME=VALUE"),
        ("dcp:length=four", "dcp: length.*'four'"),
        ("dcp:share=maybe", "dcp: share.*'maybe'"),
        ("dcp:variant=new", "dcp: variant.*'new'.*coupled"),
        ("coop:seed=3", "--seeds"),
        ("coop:method.lr=1", "'method.lr'.*length"),
    ],
)
def test_a_wrong_word_is_an_error_with_a_suggestion(word, match) -> None:
    with pytest.raises(RequestError, match=match):
        parse_method(word)


def test_a_name_that_both_have_must_say_which(monkeypatch) -> None:
    @dataclass(frozen=True)
    class Config(CoOp.Config):
        """With a name of the training's."""

        lr: float = 0.1
        """Another number."""

    monkeypatch.setattr(CoOp, "Config", Config)
    assert METHODS["coop"] is CoOp
    with pytest.raises(RequestError, match=r"method\.lr.*training\.lr"):
        parse_method("coop:lr=1")
    assert parse_method("coop:method.lr=1,training.lr=2") == Choice("coop", {"lr": 1}, {"lr": 2})


def test_a_value_of_every_kind_of_setting_is_understood() -> None:
    for name, method in METHODS.items():
        for setting in method.Config.describe():
            if setting.default is None or isinstance(setting.default, tuple):
                continue
            found = parse_method(f"{name}:method.{setting.name}={setting.default}")
            assert found.options == {setting.name: setting.default}
