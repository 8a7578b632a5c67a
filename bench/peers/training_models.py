"""The networks whose training steps are compared: seeded torch modules, their optimizers and one batch of data each.

export(case, path) writes a module as ONNX with its initial weights: what `tandem bench train` reads, differentiates and trains.
"""
import contextlib
import dataclasses
import io
import logging
import typing
import warnings

import torch
from torch import nn
from torch.nn import functional as F

OPSET, CHARACTERS = 20, 65


class Block(nn.Module):
    """Pre-norm transformer block as in GPT-2, without dropout."""
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        batch, words, width = x.shape
        q, k, v = (part.view(batch, words, self.heads, width // self.heads).transpose(1, 2) for part in self.qkv(self.norm1(x)).split(width, dim=2))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.project(attended.transpose(1, 2).reshape(batch, words, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Gpt(nn.Module):
    """GPT-2's shape over characters; the table of embeddings is that of the scores too, as there."""
    def __init__(self, layers, heads, width, words):
        super().__init__()
        self.table, self.places = nn.Embedding(CHARACTERS, width), nn.Embedding(words, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, words):
        x = self.table(words) + self.places(torch.arange(words.shape[1]))
        return F.linear(self.norm(self.blocks(x)), self.table.weight)


def mnist_cnn():
    return nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(9216, 128),
                         nn.ReLU(), nn.Linear(128, 10))


def cifar_resnet18():
    """ResNet-18 with the stem for small images: 3 x 3, no pooling."""
    import torchvision
    module = torchvision.models.resnet18(num_classes=10)
    module.conv1, module.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    return module


def images(batch, channels, size):
    return torch.rand(batch, channels, size, size), torch.arange(batch) % 10


def text(batch, words):
    return torch.randint(0, CHARACTERS, (batch, words)), torch.randint(0, CHARACTERS, (batch, words))


@dataclasses.dataclass(frozen=True)
class Case:
    label: str
    module: typing.Callable
    data: typing.Callable
    optimizer: str  # sgd, with momentum 0.9, or adamw
    learning_rate: float
    aims: dict  # precision -> Tandem's speed over torch's


CASES = {
    "mnist-cnn": Case("MNIST CNN, batch 64, SGD with momentum", mnist_cnn, lambda: images(64, 1, 28), "sgd", 0.01, {"f32": 1.5}),
    "cifar-resnet18": Case("CIFAR ResNet-18, batch 64, SGD with momentum", cifar_resnet18, lambda: images(64, 3, 32), "sgd", 0.01,
                           {"f32": 1.15, "bf16": 1.2}),
    "char-gpt": Case("char-GPT, 4 layers of 128, batch 12, 64 characters, AdamW", lambda: Gpt(4, 4, 128, 64), lambda: text(12, 64), "adamw", 1e-3,
                     {"f32": 2.0, "bf16": 1.2}),
    "gpt": Case("GPT, 6 layers of 384, batch 4, 256 characters, AdamW", lambda: Gpt(6, 6, 384, 256), lambda: text(4, 256), "adamw", 1e-3,
                {"f32": 1.3, "bf16": 1.2}),
}
IMAGES = ("mnist-cnn", "cifar-resnet18")


def seeded(case):
    """(module, inputs, targets), the same each time."""
    torch.manual_seed(0)
    module = CASES[case].module()
    return (module, *CASES[case].data())


def optimizer_of(case, module):
    """torch's fused kernels; weight decay on matrices only, as Tandem has it."""
    if CASES[case].optimizer == "sgd":
        return torch.optim.SGD(module.parameters(), lr=CASES[case].learning_rate, momentum=0.9, fused=True)
    matrices = [p for p in module.parameters() if p.ndim > 1]
    others = [p for p in module.parameters() if p.ndim <= 1]
    return torch.optim.AdamW([{"params": matrices, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}], lr=CASES[case].learning_rate,
                             fused=True)


def tandem_options(case):
    if CASES[case].optimizer == "sgd":
        return ["--optimizer", "sgd", "--momentum", "0.9", "--learning-rate", str(CASES[case].learning_rate)]
    return ["--optimizer", "adamw", "--weight-decay", "0.01", "--learning-rate", str(CASES[case].learning_rate)]


def part_equal_weights(path):
    """The exporter keeps one of several equal weights (biases of zeros) and Identities of it: to train each needs its own."""
    import onnx
    model = onnx.load(path)
    graph, weights = model.graph, {weight.name: weight for weight in model.graph.initializer}
    for node in [node for node in graph.node if node.op_type == "Identity" and node.input[0] in weights]:
        graph.initializer.add().CopyFrom(weights[node.input[0]])
        graph.initializer[-1].name = node.output[0]
        graph.node.remove(node)
    onnx.save(model, path)


def export(case, path):
    """In the form for training: nothing folded into its neighbours."""
    module, inputs, _ = seeded(case)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (inputs,), path, dynamo=False, opset_version=OPSET, do_constant_folding=False,
                          training=torch.onnx.TrainingMode.PRESERVE, input_names=["x"], output_names=["scores"])
    part_equal_weights(path)
