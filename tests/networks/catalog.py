"""What a network of the list is, and the list itself.

A builder is a function with a decorator; it says how the network is made. What it makes is written in the layout of ONNX's test cases, with
what onnxruntime computes without its optimizer as the expected outputs.
"""
import dataclasses
import functools
import typing

import numpy as np


@dataclasses.dataclass(frozen=True)
class Built:
    """A model as bytes and the feeds it is run with, one after the other in one session: their sizes may differ."""
    model: bytes
    feeds: list[dict[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Network:
    name: str
    exporter: str  # helper (onnx's own), skl2onnx, torchscript, dynamo
    opset: int
    build: typing.Callable[[], Built]
    needs: tuple[str, ...]  # Python packages
    source: str  # file of the builder
    l2: float

    @property
    def title(self):
        return f"{self.name}-{self.exporter}-{self.opset}"

    @property
    def is_light(self):
        return not {"torch", "torchvision", "transformers"} & set(self.needs)


NETWORKS: list[Network] = []
LARGEST_L2 = 5e-5  # in f32, strict math


def add(function, exporter, opsets, build, needs, l2=LARGEST_L2):
    """`build(opset)` makes the network that `function` describes; underscores in its name become hyphens."""
    code = function.__code__
    for opset in opsets:
        NETWORKS.append(Network(code.co_name.replace("_", "-"), exporter, opset, functools.partial(build, opset),
                                (*needs, "onnx", "onnxruntime"), code.co_filename, l2))


def network(exporter, opsets, needs=(), l2=LARGEST_L2):
    """Decorator of a function opset -> Built."""
    def register(build):
        add(build, exporter, opsets, build, needs, l2)
        return build
    return register
