"""What Tandem makes of random graphs, written as ONNX again: onnx.checker takes it, and onnxruntime computes the same from it.

The program onnx_probe (in $TANDEM_BIN_DIR, default: build/release/bin) reads, optimizes and writes; with verification after each pass.
python tests/random_graphs/exported.py FIRST_SEED COUNT
"""
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx

import generator
import harness
from builder import run_onnxruntime

PROBE = pathlib.Path(os.environ.get("TANDEM_BIN_DIR", harness.ROOT / "build/release/bin")) / "onnx_probe"


def same(got, expected, case):
    if got.dtype != expected.dtype or got.shape != expected.shape:
        return False
    return np.allclose(got, expected, case.relative, case.absolute) if got.dtype.kind == "f" else np.array_equal(got, expected)


def is_valid(model):
    """Whether onnx.checker takes it: not if an output has no shape, which no more can be known of some."""
    try:
        onnx.checker.check_model(model)
        return True
    except onnx.checker.ValidationError:
        return False


def fault(case, command="optimize"):
    """What is wrong with the exported graph of a case; "" if nothing is."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = pathlib.Path(folder) / "before.onnx", pathlib.Path(folder) / "after.onnx"
        before.write_bytes(case.model.SerializeToString())
        done = subprocess.run([PROBE, command, before, after], capture_output=True, text=True, errors="replace", env=harness.ENVIRONMENT)
        if done.returncode:
            return f"exit code {done.returncode}: {done.stderr.strip()}"
        model = onnx.load(after)
    try:
        if is_valid(case.model):
            onnx.checker.check_model(model)
        got = run_onnxruntime(model, {i.name: a for i, a in zip(case.model.graph.input, case.inputs)})
    except Exception as error:  # noqa: BLE001
        return f"refused: {error}"
    names = [[o.name for o in m.graph.output] for m in (case.model, model)]
    if names[0] != names[1]:
        return f"outputs {names[1]} in place of {names[0]}"
    for name, a, c in zip(names[0], generator.flat(got), generator.flat(case.expected)):
        if not same(a, c, case):
            return f"output {name}: {a.dtype}{a.shape} differs from {c.dtype}{c.shape}, by up to " + (
                str(np.abs(a.astype(np.float64) - c).max()) if a.shape == c.shape else "its shape")
    return ""


def main(first, count):
    bad = 0
    for seed in range(int(first), int(first) + int(count)):
        print("seed", seed, file=sys.stderr, flush=True)
        case = generator.generate(seed)
        text = fault(case) if case else ""
        if text and "not supported" not in text:
            bad += 1
            print(f"seed {seed}: {text[:400]}", flush=True)
    print(f"{count} seeds, {bad} wrong exports")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
