"""Networks as tf2onnx writes them: channels last outside, Transposes around each convolution, pads of their own, ReLU6 as Clip, means over
the axes in the middle."""
import numpy as np

from catalog import network
from light_networks import FLOAT, Nodes


def to_first(g, x):
    return g.add("Transpose", x, perm=[0, 3, 1, 2])


def to_last(g, x):
    return g.add("Transpose", x, perm=[0, 2, 3, 1])


def relu6(g, x):
    return g.add("Clip", x, g.constant(np.float32(0)), g.constant(np.float32(6)))


def convolution(g, x, channels_in, channels, kernel=3, stride=1, group=1, same=True):
    """Of channels last: the SAME pads of stride 2 as a Pad, the bias as an Add behind the Transpose back."""
    if same and stride == 2 and kernel > 1:
        x = g.add("Pad", x, g.ints(0, 0, 0, 0, 0, kernel // 2, kernel // 2, 0), g.constant(np.float32(0)))
        pads = [0] * 4
    else:
        pads = [kernel // 2] * 4
    y = g.add("Conv", to_first(g, x), g.weight(channels, channels_in // group, kernel, kernel), strides=[stride] * 2, pads=pads, group=group,
              kernel_shape=[kernel] * 2)
    return g.add("Add", to_last(g, y), g.constant(g.normal(channels) * np.float32(0.1)))


def inverted_residual(g, x, width, channels, stride):
    y = relu6(g, convolution(g, x, width, 4 * width, kernel=1))
    y = relu6(g, convolution(g, y, 4 * width, 4 * width, stride=stride, group=4 * width))
    y = convolution(g, y, 4 * width, channels, kernel=1)
    return g.add("Add", x, y) if stride == 1 and width == channels else y


@network("helper", (13, 18))
def mobile_blocks_channels_last(opset):
    """MobileNetV2's blocks and a squeeze-and-excitation, height and width free."""
    g = Nodes(opset)
    x = relu6(g, convolution(g, "image", 3, 8, stride=2))
    for width, channels, stride in ((8, 8, 1), (8, 12, 2), (12, 12, 1)):
        x = inverted_residual(g, x, width, channels, stride)
    axes = {"axes": [1, 2]} if opset < 18 else {}
    mean = g.add("ReduceMean", x, *([] if axes else [g.ints(1, 2)]), keepdims=1, **axes)
    gate = g.add("Sigmoid", convolution(g, g.add("Relu", convolution(g, mean, 12, 4, kernel=1)), 4, 12, kernel=1))
    x = g.add("Mul", x, gate)
    rows = g.add("ReduceMean", x, *([] if axes else [g.ints(1, 2)]), keepdims=0, **axes)
    y = g.add("Softmax", g.add("Add", g.add("MatMul", rows, g.weight(12, 5)), g.constant(g.normal(5))), axis=-1)
    feeds = [{"image": g.normal(n, h, w, 3)} for n, h, w in ((2, 32, 48), (1, 64, 32), (3, 16, 16))]
    return g.built({"image": (FLOAT, ["n", "h", "w", 3])}, {y: FLOAT, x: FLOAT}, feeds)


@network("helper", (13, 18))
def segmentation_channels_last(opset):
    """Down, up by Resize and by a transposed convolution, joined along the last axis, and a class for each pixel."""
    g = Nodes(opset)
    wide = g.add("Relu", convolution(g, "image", 3, 6))
    half = g.add("Relu", convolution(g, to_last(g, g.add("MaxPool", to_first(g, wide), kernel_shape=[2, 2], strides=[2, 2])), 6, 8))
    up = to_last(g, g.add("Resize", to_first(g, half), "", g.constant(np.array([1, 1, 2, 2], np.float32)), mode="linear",
                          coordinate_transformation_mode="half_pixel"))
    turned = to_last(g, g.add("ConvTranspose", to_first(g, half), g.weight(8, 4, 2, 2), strides=[2, 2], kernel_shape=[2, 2]))
    x = g.add("Concat", wide, up, turned, axis=-1)
    x = g.add("LeakyRelu", convolution(g, x, 18, 5), alpha=0.2)
    best = g.add("ArgMax", x, axis=-1, keepdims=0)
    feeds = [{"image": g.normal(n, h, w, 3)} for n, h, w in ((1, 16, 24), (2, 8, 8))]
    return g.built({"image": (FLOAT, ["n", "h", "w", 3])}, {g.add("Softmax", x, axis=-1): FLOAT, best: 7}, feeds)
