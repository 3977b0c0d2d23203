"""Traces a classifier with ``torch.export``: images to probabilities, all else constants."""

import warnings

import torch
from torch import nn
from torch.export import ExportedProgram

from crossprompt.classifier.classifier import Classifier
from crossprompt.errors import JobError, RequestError
from crossprompt.methods.heads import FORMS
from crossprompt.utils.shapes import Images, Probabilities
from crossprompt.utils.text import one_line


class Scorer(nn.Module):
    """A classifier as a module: preprocessed images to the probabilities of all classes.

    Raises:
        RequestError: its predictions depend on the batch, or it is not on the CPU in fp32.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.clip, self.frozen = classifier.clip, classifier.frozen
        if self.frozen.form not in FORMS:
            raise RequestError(
                f"a classifier with inference {self.frozen.form!r} is for study and cannot be "
                "exported; freeze it with calibrated"
            )
        dtype, device = self.clip.dtype, self.clip.device
        if dtype != torch.float32 or device.type != "cpu":
            raise RequestError(
                f"found a classifier in {dtype} on {device}; open it with device='cpu', "
                "dtype='fp32', so that no precision is lost"
            )

    def forward(self, images: Images) -> Probabilities:
        """``[batch, 3, side, side]`` to ``[batch, classes]``."""
        logits: torch.Tensor = self.frozen(self.clip, images)
        return logits.softmax(-1)


def trace(classifier: Classifier) -> ExportedProgram:
    """The classifier's program for batches of any size.

    Raises:
        RequestError: see ``Scorer``.
        JobError: its form cannot be traced.
    """
    scorer, side = Scorer(classifier).eval(), classifier.clip.config.image.side
    batch = torch.export.Dim("batch")
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, about itself
            program = torch.export.export(
                scorer, (torch.zeros(2, 3, side, side),), dynamic_shapes=({0: batch},)
            )
    except Exception as error:  # torch raises many kinds
        raise JobError(
            f"a {classifier.method.name} classifier cannot be written as a graph: "
            f"{type(error).__name__} {one_line(error):.300}"
        ) from error
    return _without_unused_tensors(program)


def _without_unused_tensors(program: ExportedProgram) -> ExportedProgram:
    """The program without tensors that it does not use, for most forms the whole text tower."""
    inputs, used = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}, []
    for spec in program.graph_signature.input_specs:
        node = inputs[spec.arg.name]
        if node.users or spec.target is None:
            used.append(spec)
        else:
            program.graph.erase_node(node)
            program.state_dict.pop(spec.target, None)  # a constant is not in there
    program.graph_signature.input_specs[:] = used
    program.graph_module.recompile()
    return program
