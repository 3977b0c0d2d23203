"""The mean of what is learned over the epochs of a training."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from crossprompt.errors import RequestError
from crossprompt.methods import Method, build_method
from crossprompt.methods.coop import CoOp
from crossprompt.training.checkpoint import STATE, Averaging, Checkpoint
from crossprompt.utils.progress import EpochReport
from tests.backbone import NAMES, even_clip

WEIGHTS = (0.25, 0.75)
REPORT = EpochReport(1, 2, 0.5, 1e-5, 10.0)


def make() -> Method:
    return build_method("coop", even_clip(), NAMES, length=2)


def fill(method: Method, value: float) -> None:
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.fill_(value)


def state_of(method: Method, folder: Path) -> tuple[Checkpoint, Averaging]:
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
    state, averaging = state_of(method, tmp_path)
    fill(method, 8.0)
    averaging.add(1)
    state.save([REPORT])
    averaging.finish()
    assert (next(method.parameters()) == 8.0).all()
    assert set(load_file(tmp_path / STATE)) == {"method.text_prompt"}


def test_an_interrupted_mean_goes_on(weighted, tmp_path) -> None:
    method = make()
    state, averaging = state_of(method, tmp_path)
    fill(method, 8.0)
    averaging.add(1)
    state.save([REPORT])
    method = make()
    state, averaging = state_of(method, tmp_path)
    state.begin(resume=True)
    fill(method, 4.0)
    averaging.add(2)
    averaging.finish()
    assert (next(method.parameters()) == 5.0).all()


def test_a_state_without_the_mean_is_refused(weighted, tmp_path, monkeypatch) -> None:
    state, _ = state_of(make(), tmp_path)
    state.save([REPORT])
    state, _ = state_of(make(), tmp_path)
    with pytest.raises(RequestError, match="missing text_prompt"):
        state.begin(resume=True)
