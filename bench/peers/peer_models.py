"""The networks that contestants run: made once by torchvision and transformers with seeded random weights, kept as ONNX files.

file_of(name, precision) gives the file; int8 is onnxruntime's static QDQ quantizer (u8 activations, s8 weights a channel) on the f32 file. The
networks with open sizes take any batch, sequence or image: inputs_of(name, sizes).
"""
import contextlib
import dataclasses
import io
import logging
import os
import pathlib
import sys
import tempfile
import typing
import warnings

import numpy as np

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "tandem" / "bench"
WORDS, OPSET = 30_000, 17


@dataclasses.dataclass
class Network:
    """A torch module, the names of what it takes and gives, and which axes of the inputs are open."""
    module: typing.Any
    inputs: list
    outputs: list
    axes: dict


@dataclasses.dataclass(frozen=True)
class Recipe:
    make: typing.Callable  # () -> Network
    inputs: typing.Callable  # (**sizes) -> {name: array}
    sizes: dict  # by default


def seeded(make):
    def run(*arguments):
        import torch
        torch.manual_seed(0)
        with torch.no_grad():
            network = make(*arguments)
        network.module.eval()
        return network
    return run


def noise(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def numbers(*shape, below=WORDS):
    return np.random.default_rng(0).integers(0, below, shape)


def vision(name):
    def make():
        import torchvision
        return Network(getattr(torchvision.models, name)(weights=None), ["images"], ["scores"], {"images": {0: "batch", 2: "height", 3: "width"}})
    return Recipe(seeded(make), lambda batch=1, image=224: {"images": noise(batch, 3, image, image)}, {"batch": 1, "image": 224})


def perceptron():
    from torch import nn
    layers = [nn.Linear(30, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 2), nn.Softmax(-1)]
    return Network(nn.Sequential(*layers), ["x"], ["y"], {"x": {0: "batch"}})


def products(width, count):
    """`count` square products one after the other; together more weights than caches hold, as a decoder has."""
    def make():
        from torch import nn
        layers = [nn.Linear(width, width, bias=False) for _ in range(count)]
        for layer in layers:
            nn.init.normal_(layer.weight, std=width ** -0.5)
        return Network(nn.Sequential(*layers), ["x"], ["y"], {"x": {0: "batch"}})
    return Recipe(seeded(make), lambda batch=1: {"x": noise(batch, width)}, {"batch": 1})


def wrapped(forward, **modules):
    """A module that takes and gives tensors only."""
    from torch import nn
    wrapper = type("Wrapped", (nn.Module,), {"forward": forward})()
    for name, module in modules.items():
        setattr(wrapper, name, module)
    return wrapper


def bert():
    from transformers import BertConfig, BertModel

    def forward(self, words, mask):
        return self.model(input_ids=words, attention_mask=mask).last_hidden_state
    model = BertModel(BertConfig(vocab_size=WORDS, max_position_embeddings=2048))
    axes = {0: "batch", 1: "sequence"}
    return Network(wrapped(forward, model=model), ["words", "mask"], ["hidden"], {"words": axes, "mask": axes})


def bert_inputs(batch=1, sequence=128):
    return {"words": numbers(batch, sequence), "mask": np.ones((batch, sequence), np.int64)}


LAYERS, HEADS, WIDTH = 12, 12, 64  # of GPT-2 with 124M parameters
PAST = [f"{kind}{i}" for i in range(LAYERS) for kind in ("key", "value")]


def gpt2():
    """One more word after `past` others: logits, and keys and values of all."""
    from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

    def forward(self, words, mask, *past):
        cache = DynamicCache([(past[2 * i], past[2 * i + 1]) for i in range(LAYERS)])
        out = self.model(input_ids=words, attention_mask=mask, past_key_values=cache, use_cache=True)
        return (out.logits, *(tensor for layer in out.past_key_values.layers for tensor in (layer.keys, layer.values)))
    axes = {"mask": {1: "all"}} | {name: {2: "past"} for name in PAST}
    return Network(wrapped(forward, model=GPT2LMHeadModel(GPT2Config(n_positions=4096))), ["words", "mask", *PAST],
                   ["logits", *("new_" + name for name in PAST)], axes)


def gpt2_inputs(past=512):
    return {"words": numbers(1, 1), "mask": np.ones((1, past + 1), np.int64)} | {name: noise(1, HEADS, past, WIDTH) for name in PAST}


NETWORKS = {
    "mlp": Recipe(seeded(perceptron), lambda batch=1: {"x": noise(batch, 30)}, {"batch": 1}),
    "resnet50": vision("resnet50"),
    "resnet18": vision("resnet18"),
    "mobilenet_v2": vision("mobilenet_v2"),
    "efficientnet_b0": vision("efficientnet_b0"),
    "bert": Recipe(seeded(bert), bert_inputs, {"batch": 1, "sequence": 128}),
    "gpt2": Recipe(seeded(gpt2), gpt2_inputs, {"past": 512}),
    **{f"gemm{n}": products(n, 1) for n in (512, 1024, 2048, 4096)},
    **{f"gemv{n}": products(n, -(-(192 << 20) // (4 * n * n))) for n in (768, 2048, 4096)},
}


def inputs_of(name, **sizes):
    return NETWORKS[name].inputs(**sizes)


def export(name, path):
    import torch
    recipe = NETWORKS[name]
    network = recipe.make()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    feed = recipe.inputs()
    with warnings.catch_warnings(), torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(network.module, tuple(torch.from_numpy(feed[n]) for n in network.inputs), path, dynamo=False, opset_version=OPSET,
                          input_names=network.inputs, output_names=network.outputs, dynamic_axes=network.axes)


def quantize(name, source, path):
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.rows = iter([inputs_of(name)])

        def get_next(self):
            return next(self.rows, None)
    prepared = path.with_suffix(".prepared")
    logging.getLogger().setLevel(logging.ERROR)
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantize_static(str(prepared), str(path), Reader(), quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8)
    prepared.unlink()


def file_of(name, precision="f32"):
    """Makes the file if it is not there yet."""
    path = CACHE / f"{name}-{precision}.onnx"
    if path.exists():
        return path
    CACHE.mkdir(parents=True, exist_ok=True)
    print(f"making {path.name} ...", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        made = pathlib.Path(folder) / path.name
        if precision == "int8":
            quantize(name, file_of(name), made)
        else:
            export(name, made)
        made.rename(path)
    return path
