"""What `tandem export` writes of the networks of the cache, in onnxruntime. Without a pattern it also writes docs/exports.md.

    export_table.py [PATTERN...] [--opsets default 17 23] [--jobs 2]     patterns of titles: 'resnet*', '*-dynamo-*'

Only networks that are in the cache already are exported (write_table.py fills it). Each export must pass onnx.checker with full shape inference
(if the original does), and give in onnxruntime, without its optimizer, what the original gives there: floats within the network's relative L2,
integers and strings equal. The exit code is 1 if one does not, or if Tandem refuses to write it in the default opset or the newest asked for.
"""
import argparse
import collections
import concurrent.futures
import dataclasses
import fnmatch
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from all_networks import NETWORKS
from case_folder import cache, expected_outputs
from onnx import numpy_helper
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented
from run_network import BINARY, ROOT

HEAD = """# Exports of real networks

Written by `tests/networks/export_table.py` (onnx {onnx}, onnxruntime {onnxruntime}): {networks} networks of [networks.md](networks.md), each
written again by `tandem export`, taken by onnx.checker and run in onnxruntime (without its optimizer) on the same feeds. Equal: relative L2 at
most 5e-5 (2e-2 for 8 bits), integers and strings the same. Refused: a node has no form in that opset, which `tandem export` says by name. Not run:
onnxruntime has no kernel for that version of an op.

| opset | equal | refused | not run | different |
|---|---|---|---|---|
{counts}
{exceptions}"""


KINDS = ("equal", "refused", "not run", "different")


@dataclasses.dataclass(frozen=True)
class Outcome:
    title: str
    opset: str
    kind: str  # of KINDS
    text: str  # why, or the distance


def value(type_proto, file):
    """An array, or a list of them."""
    if type_proto.HasField("sequence_type"):
        return numpy_helper.to_list(onnx.SequenceProto.FromString(file.read_bytes()))
    return numpy_helper.to_array(onnx.TensorProto.FromString(file.read_bytes()))


def data_sets(folder, graph):
    """(feed, expected outputs) of each."""
    for data in sorted(folder.glob("test_data_set_*")):
        feed = {info.name: value(info.type, data / f"input_{i}.pb") for i, info in enumerate(graph.input)}
        yield feed, [value(info.type, data / f"output_{i}.pb") for i, info in enumerate(graph.output)]


def distance(got, expected):
    """Relative L2; infinite where type, shape, a NaN or an integer differs."""
    if isinstance(expected, list):
        return max(map(distance, got, expected), default=0.0) if isinstance(got, list) and len(got) == len(expected) else np.inf
    got = np.asarray(got)
    if expected.dtype.kind in "OUS":
        return 0.0 if got.shape == expected.shape and (got.astype(str) == expected.astype(str)).all() else np.inf
    if got.dtype != expected.dtype or got.shape != expected.shape:
        return np.inf
    if got.dtype.kind in "biu":
        return 0.0 if np.array_equal(got, expected) else np.inf
    got, expected = got.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(expected)
    if not np.array_equal(got[~finite], expected[~finite], equal_nan=True) or not np.isfinite(got[finite]).all():
        return np.inf
    difference, norm = np.linalg.norm(got[finite] - expected[finite]), np.linalg.norm(expected[finite])
    return float(difference / norm) if norm else float(difference)


def check(model):
    """The first line of what onnx.checker has against it; "" if nothing."""
    try:
        onnx.checker.check_model(str(model), full_check=True)
        return ""
    except Exception as error:  # ValidationError, InferenceError: they share no base
        return (str(error).strip().splitlines() or [type(error).__name__])[0]


def difference(source, written, l2):
    """What is wrong with the exported model ("" if nothing), and its largest distance."""
    if (fault := check(written)) and not check(source / "model.onnx"):
        return f"onnx.checker: {fault}", np.inf
    before, after = (onnx.load(file, load_external_data=False).graph for file in (source / "model.onnx", written))
    for kind in ("input", "output"):
        names = [[info.name for info in getattr(graph, kind)] for graph in (before, after)]
        if names[0] != names[1]:
            return f"{kind}s {names[1]} in place of {names[0]}", np.inf
    largest = 0.0
    for n, (feed, expected) in enumerate(data_sets(source, before)):
        for info, a, b in zip(after.output, expected_outputs(str(written), feed), expected, strict=True):
            largest = max(largest, distance(a, b))
            if not distance(a, b) <= l2:
                return f"data set {n}, {info.name}: distance {distance(a, b):.1e}", largest
    return "", largest


def export(title, folder, l2, opset):
    with tempfile.TemporaryDirectory() as scratch:
        written = pathlib.Path(scratch) / "out.onnx"
        command = [BINARY, "export", folder / "model.onnx", "-o", written, *([] if opset == "default" else ["--opset", opset])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if done.returncode:
            says = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1].removeprefix("tandem export: ")
            return Outcome(title, opset, "refused" if "in this opset" in says else "different", says)
        try:
            fault, largest = difference(folder, written, l2)
        except NotImplemented as error:
            return Outcome(title, opset, "not run", str(error).split(" : ")[-1])
        except Exception as error:  # whatever else onnxruntime throws
            fault, largest = f"{type(error).__name__}: {error}".splitlines()[0], np.inf
        return Outcome(title, opset, "different" if fault else "equal", fault or f"{largest:.1e}")


def in_own_process(*case):
    """onnxruntime may kill it."""
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        try:
            return pool.submit(export, *case).result()
        except concurrent.futures.process.BrokenProcessPool:
            return Outcome(case[0], case[-1], "different", "onnxruntime killed its process")


def page(outcomes, opsets):
    counts = collections.Counter((o.opset, o.kind) for o in outcomes)
    rows = [f"| {opset} | " + " | ".join(str(counts[opset, kind]) for kind in KINDS) + " |\n" for opset in opsets]
    others = [o for o in outcomes if o.kind != "equal"]
    lines = [f"| {o.title} | {o.opset} | {o.kind} | {o.text.replace('|', chr(92) + '|')[:300]} |\n" for o in others]
    table = "".join(["| network | opset | outcome | why |\n|---|---|---|---|\n", *lines]) if lines else ""
    networks = len({o.title for o in outcomes})
    return HEAD.format(onnx=onnx.__version__, onnxruntime=onnxruntime.__version__, networks=networks, counts="".join(rows), exceptions=table)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*")
    parser.add_argument("--opsets", nargs="*", default=["default", "17", "23"])
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    l2 = {network.title: network.l2 for network in NETWORKS}
    folders = sorted(path.parent for path in cache().glob("*/*/model.onnx"))
    cases = [(folder.parent.name, folder, l2[folder.parent.name], opset) for folder in folders for opset in options.opsets
             if not options.patterns or any(fnmatch.fnmatch(folder.parent.name, pattern) for pattern in options.patterns)]
    outcomes = []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for outcome in pool.map(lambda case: in_own_process(*case), cases):
            outcomes.append(outcome)
            print(outcome.title, outcome.opset, outcome.kind, outcome.text, flush=True)
    text = page(outcomes, options.opsets)
    print("\n" + text[text.index("| opset"):])
    if not options.patterns:
        (ROOT / "docs/exports.md").write_text(text)
    needed = {options.opsets[0], options.opsets[-1]}
    return int(any(o.kind == "different" or (o.kind == "refused" and o.opset in needed) for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
