"""torch modules through both of torch's exporters."""
import contextlib
import dataclasses
import functools
import inspect
import io
import logging
import os
import tempfile
import typing
import warnings

import numpy as np

from catalog import LARGEST_L2, Built, add

# The exporter, and the opsets it is asked for. torchscript stops at 20; dynamo starts at 18.
USUAL = (("torchscript", (17,)), ("dynamo", (18,)))
MANY = (("torchscript", (17, 20)), ("dynamo", (18, 21, 23)))


@dataclasses.dataclass(frozen=True)
class Sample:
    """A module and the arguments it is called with. The first are exported, all are run."""
    module: typing.Any
    arguments: list[tuple]
    inputs: list[str]
    dynamic: dict[str, dict[int, str]] = dataclasses.field(default_factory=dict)  # input -> axis -> symbol


def export_torchscript(torch, sample, opset, path):
    torch.onnx.export(sample.module, sample.arguments[0], path, dynamo=False, opset_version=opset, input_names=sample.inputs,
                      dynamic_axes=sample.dynamic)


def dynamic_shapes(torch, sample):
    """One entry an argument of forward; those of *arguments are one tuple."""
    shapes = tuple({axis: torch.export.Dim.DYNAMIC for axis in sample.dynamic.get(name, {})} for name in sample.inputs)
    kinds = [parameter.kind for parameter in inspect.signature(sample.module.forward).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        return shapes
    named = kinds.index(inspect.Parameter.VAR_POSITIONAL)
    return (*shapes[:named], shapes[named:])


def export_dynamo(torch, sample, opset, path):
    program = torch.onnx.export(sample.module, sample.arguments[0], dynamo=True, opset_version=opset, input_names=sample.inputs,
                                dynamic_shapes=dynamic_shapes(torch, sample) if sample.dynamic else None, verbose=False)
    program.save(path, external_data=False)


def make_uneven(torch, module):
    """Zeros and ones that training would have moved (biases, scales, running means) hide what is lost on the way."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point() and tensor.numel() > 1 and bool((tensor == tensor.flatten()[0]).all()):
            tensor.add_(torch.rand_like(tensor) * 0.1)


def build(make, exporter, opset):
    import torch
    torch.manual_seed(0)
    torch.set_num_threads(1)
    torch.backends.mha.set_fastpath_enabled(False)  # its operator has no counterpart in ONNX
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        sample = make(torch)
        sample.module.eval()
        make_uneven(torch, sample.module)
        path = os.path.join(folder, "model.onnx")
        with contextlib.redirect_stdout(io.StringIO()):
            (export_dynamo if exporter == "dynamo" else export_torchscript)(torch, sample, opset, path)
        with open(path, "rb") as file:
            model = file.read()
    feeds = [{name: np.array(value.detach().numpy(), order="C") for name, value in zip(sample.inputs, arguments)}
             for arguments in sample.arguments]
    return Built(model, feeds)


def torch_network(needs=(), exporters=USUAL, l2=LARGEST_L2):
    """Decorator of a function torch -> Sample; each exporter and opset makes one entry of the list."""
    def register(make):
        for exporter, opsets in exporters:
            packages = ("torch", "onnxscript", *needs) if exporter == "dynamo" else ("torch", *needs)
            add(make, exporter, opsets, functools.partial(build, make, exporter), packages, l2)
        return make
    return register
