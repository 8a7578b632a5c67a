"""One node on constants, folded away by Tandem's own kernels: `onnx_probe optimize`, in $TANDEM_BIN_DIR, else build/release/bin."""
import os
import pathlib
import subprocess

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROBE = pathlib.Path(os.environ.get("TANDEM_BIN_DIR", ROOT / "build/release/bin")) / "onnx_probe"


def typed(made, array):
    kind = TensorProto.STRING if array.dtype == object else helper.np_dtype_to_tensor_dtype(array.dtype)
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", kind, [None] * array.ndim))
    return made


def folded(made, folder):
    if not PROBE.exists():
        pytest.skip(f"{PROBE} is not built")
    before, after = folder / "before.onnx", folder / "after.onnx"
    onnx.save(made, before)
    done = subprocess.run([str(PROBE), "optimize", str(before), str(after)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    graph = onnx.load(after).graph
    assert all(n.op_type in ("Constant", "Identity") for n in graph.node), "the node was not folded: nothing was compared"
    if not graph.node:
        return next(c for c in graph.initializer if c.name == graph.output[0].name)
    constants = {c.name: c for c in graph.initializer}
    node = graph.node[0]
    return constants[node.input[0]] if node.op_type == "Identity" else node.attribute[0].t
