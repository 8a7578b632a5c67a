"""What the networks of the cache take in memory: plans, processes and onnxruntime. Without a pattern it also writes docs/memory.md.

    memory_table.py [PATTERN...] [--disable-pass PASS...]     patterns of titles: 'resnet*', '*-dynamo-*'

Only networks that are in the cache already are measured (write_table.py fills it), each with its largest feed, on one thread.
"""
import argparse
import dataclasses
import fnmatch
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from case_folder import cache
from onnx import numpy_helper
from run_network import BINARY, ROOT

HERE = pathlib.Path(__file__).resolve().parent
HEAD = """# Memory of real networks

Written by `tests/networks/memory_table.py`: the networks of [networks.md](networks.md), each with its largest feed, one thread. Bytes in MiB.

- *activations*: what Tandem holds for a run beside weights and inputs: the plan's arena (outputs included), of which a part is the scratch of
  kernels, and what only the run could size. *onnxruntime*: the most its heap grew in one run (arena off, so without slack; the better of its
  runs with and without its own memory plan; measured by a preloaded malloc, tests/networks/peak_of_onnxruntime.py).
- *arena / bound*: the arena over the most bytes alive at any one step, under which no packing can be.
- *loading*: the most that weights took until all were packed. *process*: resident at most (VmHWM) in `tandem run`, loading included. *error*: how
  far that is from the figure that stands there before the run, and that `tandem inspect --plan` prints: the larger of what the process held until
  the plan was made, and of what a run adds up to (pages of the program, its heap, weights, activations, inputs); what only the run could size is
  added. Between loading and running the pages of code that only loading needed go, so small networks peak while they are read.

{summary}

| network | weights | loading | activations | of it scratch | sized by the run | onnxruntime | ratio | arena / bound | process | error |
|---|---|---|---|---|---|---|---|---|---|---|
"""
MIB = 1 << 20


@dataclasses.dataclass(frozen=True)
class Measured:
    title: str
    plan: dict
    peer: int | None  # None: onnxruntime did not run it

    @property
    def activations(self):
        return self.plan["arena_bytes"] + self.plan["workspace_bytes"] + self.plan["dynamic_bytes"]

    @property
    def ratio(self):
        return self.activations / self.peer if self.peer else float("nan")

    @property
    def packing(self):
        return self.plan["arena_bytes"] / self.plan["lower_bound_bytes"] if self.plan["lower_bound_bytes"] else 1.0

    @property
    def error(self):
        said = self.plan["expected"]
        running = sum(said[f"{what}_bytes"] for what in ("program", "heap", "weight", "activation", "input", "first_run"))
        return self.plan["process_bytes"] / max(said["loaded_bytes"], running + self.plan["dynamic_bytes"]) - 1


def largest_feed(folder):
    """Arrays by name, of the data set with the most bytes; None where one is no tensor."""
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    names = [info.name for info in model.graph.input]
    feeds = []
    for data in folder.glob("test_data_set_*"):
        files = [data / f"input_{i}.pb" for i in range(len(names))]
        try:
            tensors = [onnx.TensorProto.FromString(file.read_bytes()) for file in files]
            feeds.append({name: numpy_helper.to_array(tensor) for name, tensor in zip(names, tensors)})
        except Exception:  # a sequence, an optional value
            return None
    return max(feeds, key=lambda feed: sum(array.nbytes for array in feed.values()))


def tandem(model, feed, disabled):
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([BINARY, "run", model, "--input", feed, "--memory", "--json", "--output", pathlib.Path(folder) / "out.npz",
                               *(f"--disable-pass={name}" for name in disabled)], capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return json.loads(done.stdout)["memory"]


@functools.cache
def preload():
    """The library that counts, compiled."""
    library = pathlib.Path(tempfile.mkdtemp()) / "liblive.so"
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC", "-o", library, HERE / "live_bytes.c"], check=True)
    return library


def onnxruntime_peak(model, feed):
    done = subprocess.run([sys.executable, HERE / "peak_of_onnxruntime.py", model, feed], capture_output=True, text=True, timeout=600,
                          env=dict(os.environ, LD_PRELOAD=str(preload())))
    return min(json.loads(done.stdout.splitlines()[-1]).values()) if done.returncode == 0 else None


def measure(title, folder, disabled, peers):
    feed = largest_feed(folder)
    if feed is None or any(array.dtype.kind in "OUS" for array in feed.values()):
        raise RuntimeError("its feed is no .npz of numbers")
    with tempfile.TemporaryDirectory() as scratch:
        file = pathlib.Path(scratch) / "feed.npz"
        np.savez(file, **feed)
        plan = tandem(folder / "model.onnx", file, disabled)
        if title not in peers:
            peers[title] = onnxruntime_peak(folder / "model.onnx", file)
    return Measured(title, plan, peers[title])


def row(m):
    mib = lambda n: "" if n is None else f"{n / MIB:.2f}"  # noqa: E731
    p = m.plan
    return (f"| {m.title} | {mib(p['constant_bytes'])} | {mib(p['loading_bytes'])} | {mib(m.activations)} | {mib(p['scratch_bytes'])} | {mib(p['dynamic_bytes'])} | {mib(m.peer)} | "
            f"{m.ratio:.2f} | {m.packing:.3f} | {mib(p['process_bytes'])} | {100 * m.error:+.1f}% |")


def summary(rows):
    compared = [m for m in rows if m.peer]
    within = sum(m.ratio <= 1 for m in compared)
    tight = sum(m.packing <= 1.1 for m in rows)
    exact = sum(abs(m.error) <= 0.03 for m in rows)
    ratios = sorted(m.ratio for m in compared)
    return (f"{within} of {len(compared)} take at most onnxruntime's activation memory (median {ratios[len(ratios) // 2]:.2f} of it, at most "
            f"{ratios[-1]:.2f}); {tight} of {len(rows)} arenas are within 10% of the bound (at most {max(m.packing for m in rows):.3f} of it); "
            f"{exact} of {len(rows)} processes are within 3% of their figure (at most {max(abs(m.error) for m in rows):.1%} off).")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("patterns", nargs="*")
    parser.add_argument("--disable-pass", nargs="*", default=[])
    parser.add_argument("--peers", type=pathlib.Path, help="keep onnxruntime's figures in this file, and take them from there")
    options = parser.parse_args()
    peers = json.loads(options.peers.read_text()) if options.peers and options.peers.exists() else {}
    rows = []
    for folder in sorted(path.parent for path in cache().glob("*/*/model.onnx")):
        title = folder.parent.name
        if options.patterns and not any(fnmatch.fnmatch(title, pattern) for pattern in options.patterns):
            continue
        try:
            rows.append(measure(title, folder, options.disable_pass, peers))
            print(row(rows[-1]), flush=True)
        except (RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
            print(f"{title}: not measured: {error}", flush=True)
        if options.peers:
            options.peers.write_text(json.dumps(peers))
    print(summary(rows))
    if not options.patterns:
        (ROOT / "docs/memory.md").write_text(HEAD.format(summary=summary(rows)) + "".join(row(m) + "\n" for m in rows))


if __name__ == "__main__":
    main()
