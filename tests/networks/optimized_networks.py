"""Networks as onnxruntime's transformer optimizer writes them: its own ops, at times without an import of their domain, also in f16."""
import logging
import os
import tempfile

from catalog import Built, network
from language_networks import bart, bert, gpt2
from picture_networks import beit
from torch_export import build

NEEDS = ("torch", "transformers")
HALVES = 2e-2  # what rounding to f16 costs depends on where it is done


def optimized(make, kind, opset, halves=False):
    from onnxruntime.transformers import optimizer
    logging.getLogger().setLevel(logging.ERROR)
    whole = build(make, "torchscript", opset)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "whole.onnx")
        with open(path, "wb") as file:
            file.write(whole.model)
        fused = optimizer.optimize_model(path, model_type=kind, num_heads=4, hidden_size=32, opt_level=0)
        if halves:
            fused.convert_float_to_float16(keep_io_types=True)
        return Built(fused.model.SerializeToString(), whole.feeds)


@network("onnxruntime", (17,), NEEDS)
def optimized_bert(opset):
    return optimized(bert, "bert", opset)


@network("onnxruntime", (17,), NEEDS)
def optimized_gpt2(opset):
    return optimized(gpt2, "gpt2", opset)


@network("onnxruntime", (17,), NEEDS)
def optimized_bart(opset):
    """Imports no opset of onnxruntime's domain."""
    return optimized(bart, "bart", opset)


@network("onnxruntime", (17,), NEEDS, l2=HALVES)
def optimized_beit_of_halves(opset):
    """So does this one."""
    return optimized(beit, "vit", opset, halves=True)
