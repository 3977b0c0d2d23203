"""The state of a training on disk."""

import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from crossprompt.errors import RequestError
from crossprompt.methods import Method, build_method
from crossprompt.methods.coop import CoOp
from crossprompt.training.checkpoint import LOG, STATE, Averaging, Checkpoint, differences
from crossprompt.utils.files import atomic_write
from crossprompt.utils.progress import EpochReport
from tests.backbone import NAMES, even_clip

REPORT = EpochReport(1, 2, 0.5, 1e-5, 10.0)
WEIGHTS = (0.25, 0.75)


def trained(folder: Path, settings: dict[str, object] | None = None) -> Checkpoint:
    """A state after one step of SGD with momentum."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    state = Checkpoint(folder, layer, torch.optim.SGD(layer.parameters(), 0.1, 0.9), settings or {})
    layer(torch.ones(1, 3)).sum().backward()
    state.optimizer.step()
    return state


def fresh(folder: Path, settings: dict[str, object] | None = None, width: int = 3) -> Checkpoint:
    layer = nn.Linear(width, 2)
    return Checkpoint(folder, layer, torch.optim.SGD(layer.parameters(), 0.1, 0.9), settings or {})


def test_learned_tensors_optimizer_and_reports_come_back(tmp_path) -> None:
    kept, found = trained(tmp_path), fresh(tmp_path)
    kept.save([REPORT])
    assert found.begin(resume=True) == [REPORT]
    for key, value in kept.method.state_dict().items():
        assert torch.equal(found.method.state_dict()[key], value)
    slots, expected = (state.optimizer.state_dict()["state"] for state in (found, kept))
    assert slots.keys() == expected.keys() == {0, 1}
    for index, slot in expected.items():
        assert torch.equal(slots[index]["momentum_buffer"], slot["momentum_buffer"])


def test_beginning_afresh_removes_what_an_earlier_training_left(tmp_path) -> None:
    trained(tmp_path).save([REPORT])
    assert sorted(os.listdir(tmp_path)) == [LOG, STATE]
    assert fresh(tmp_path).begin(resume=False) == []
    assert os.listdir(tmp_path) == []


def test_without_a_state_a_training_begins(tmp_path) -> None:
    assert fresh(tmp_path / "new").begin(resume=True) == []
    nowhere = Checkpoint(None, nn.Linear(1, 1), fresh(tmp_path).optimizer, {})
    nowhere.save([REPORT])
    assert nowhere.begin(resume=True) == []
    assert os.listdir(tmp_path) == ["new"]


def test_the_log_is_written_again_if_the_process_died_before_it(tmp_path) -> None:
    trained(tmp_path).save([REPORT])
    expected = (tmp_path / LOG).read_text()
    (tmp_path / LOG).unlink()
    fresh(tmp_path).begin(resume=True)
    assert (tmp_path / LOG).read_text() == expected


@pytest.mark.parametrize("size", [0, 1, 7, 100, -1])
def test_a_truncated_state_is_a_clear_error(tmp_path, size) -> None:
    trained(tmp_path).save([REPORT])
    content = (tmp_path / STATE).read_bytes()
    (tmp_path / STATE).write_bytes(content[:size])
    with pytest.raises(RequestError, match=r"state\.safetensors is damaged"):
        fresh(tmp_path).begin(resume=True)


def test_a_state_of_other_shapes_is_a_clear_error(tmp_path) -> None:
    trained(tmp_path).save([REPORT])
    with pytest.raises(RequestError, match="weight") as caught:
        fresh(tmp_path, width=4).begin(resume=True)
    assert "\n" not in str(caught.value)


def test_a_state_of_other_settings_says_what_differs(tmp_path) -> None:
    trained(tmp_path, {"lr": 0.1, "config": {"length": 4, "names": ("a", "b")}}).save([REPORT])
    same = fresh(tmp_path, {"lr": 0.1, "config": {"length": 4, "names": ("a", "b")}})
    assert same.begin(resume=True)
    with pytest.raises(RequestError, match=r"lr 0\.1, now 0\.2; config\.length 4, now 8"):
        fresh(tmp_path, {"lr": 0.2, "config": {"length": 8, "names": ("a", "b")}}).begin(
            resume=True
        )


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path) -> None:
    path = tmp_path / "answers.txt"
    path.write_text("old")

    def fail(partial: Path) -> None:
        partial.write_text("half of the n")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        atomic_write(path, fail)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["answers.txt"]
    with path.open() as opened:  # who reads it meanwhile reads the old file to its end
        atomic_write(path, lambda partial: partial.write_text("new"))
        assert opened.read() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["answers.txt"]


def test_a_state_holds_tensors_and_text_only(tmp_path) -> None:
    trained(tmp_path).save([REPORT])
    with safe_open(tmp_path / STATE, framework="pt") as file:
        assert sorted(file.keys()) == [
            "method.bias",
            "method.weight",
            "optimiser.0.momentum_buffer",
            "optimiser.1.momentum_buffer",
        ]
        assert set(file.metadata()) == {"reports", "settings"}


def test_differences_are_told_by_their_path() -> None:
    was = {"a": 1, "b": {"c": [1, 2], "d": None}, "gone": True}
    now = {"a": 1, "b": {"c": [1, 3], "d": None}, "new": "x"}
    assert list(differences(was, was)) == []
    assert list(differences(was, now)) == [
        "b.c [1, 2], now [1, 3]",
        "gone true, now null",
        'new null, now "x"',
    ]
    (long,) = differences({"names": ["a" * 99]}, {"names": []})
    assert len(long) < 70


def make() -> Method:
    return build_method("coop", even_clip(), NAMES, length=2)


def fill(method: Method, value: float) -> None:
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.fill_(value)


def averaged(method: Method, folder: Path) -> tuple[Checkpoint, Averaging]:
    averaging = Averaging(method, epochs=2)
    optimizer = torch.optim.SGD(method.parameters(), 0.1)
    return Checkpoint(folder, method, optimizer, {}, averaging), averaging


@pytest.fixture
def weighted(monkeypatch) -> None:
    monkeypatch.setattr(CoOp, "epoch_weights", lambda self, epochs: WEIGHTS[:epochs])


def test_epochs_count_by_their_weight(weighted) -> None:
    method = make()
    averaging = Averaging(method, epochs=2)
    for epoch, value in ((1, 8.0), (2, 4.0)):
        fill(method, value)
        averaging.add(epoch)
    assert (next(method.parameters()) == 4.0).all()  # training goes on from what was learned last
    averaging.finish()
    assert (next(method.parameters()) == 5.0).all()


def test_without_weights_the_last_epoch_is_the_result(tmp_path) -> None:
    method = make()
    state, averaging = averaged(method, tmp_path)
    fill(method, 8.0)
    averaging.add(1)
    state.save([REPORT])
    averaging.finish()
    assert (next(method.parameters()) == 8.0).all()
    assert set(load_file(tmp_path / STATE)) == {"method.text_prompt"}


def test_an_interrupted_mean_goes_on(weighted, tmp_path) -> None:
    method = make()
    state, averaging = averaged(method, tmp_path)
    fill(method, 8.0)
    averaging.add(1)
    state.save([REPORT])
    method = make()
    state, averaging = averaged(method, tmp_path)
    state.begin(resume=True)
    fill(method, 4.0)
    averaging.add(2)
    averaging.finish()
    assert (next(method.parameters()) == 5.0).all()


def test_a_state_without_the_mean_is_refused(weighted, tmp_path, monkeypatch) -> None:
    state, _ = averaged(make(), tmp_path)
    state.save([REPORT])
    state, _ = averaged(make(), tmp_path)
    with pytest.raises(RequestError, match="missing text_prompt"):
        state.begin(resume=True)
