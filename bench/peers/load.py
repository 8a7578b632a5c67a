"""Opening a model in Tandem and in onnxruntime, in turns, each load in a process of its own: time, processor time, most memory held.

    python bench/peers/load.py MODEL.onnx... [--bench build/release/bin/load_bench] [--tandem build/release/bin/tandem] [--rounds 5]

Memory and time are those of opening the model: what the process has and takes before (Python, libraries) is taken off; "run" is the time of the
first run after it, inputs of ones, open sizes 1, and the memory with that. First both run the model on the same random inputs, and must agree.
`.tdm` is the same model compiled (by load_bench, since panels are for the program that packs them), `.ort` and "optimized" are what onnxruntime
keeps of it after its own optimizer. One thread each, files in the page cache.
"""
import argparse
import json
import multiprocessing
import pathlib
import statistics
import subprocess
import sys
import tempfile

PEER = r"""
import json, resource, sys, time
import numpy as np
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
if sys.argv[2] == "off":
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
if len(sys.argv) > 3:  # what this leaves
    options.optimized_model_filepath = sys.argv[3]
usage = lambda: resource.getrusage(resource.RUSAGE_SELF)
peak = lambda: next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM:"))  # ru_maxrss knows the parent's, too
peak_before, before, start = peak(), usage(), time.perf_counter()
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
wall, after = time.perf_counter() - start, usage()
cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
opened = peak()
feeds = {v.name: np.ones([d if isinstance(d, int) else 1 for d in v.shape], np.int64 if "int64" in v.type else np.float32) for v in session.get_inputs()}
start = time.perf_counter()
session.run(None, feeds)
print(json.dumps({"ms": wall * 1e3, "cpu_ms": cpu * 1e3, "peak_kib": opened, "start_kib": peak_before, "run_ms": (time.perf_counter() - start) * 1e3,
                  "peak_after_run_kib": peak()}))
"""


def measure(command):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{command[0]} failed:\n{result.stderr[-2000:]}")
    row = json.loads(result.stdout.splitlines()[-1])
    return (row["ms"], row["cpu_ms"], (row["peak_kib"] - row["start_kib"]) / 1024, row["run_ms"],
            (row["peak_after_run_kib"] - row["start_kib"]) / 1024)


def validate(tandem, models, folder):
    """Random inputs, open sizes 2 (a first one 1); the largest distance must be small beside the largest output."""
    import numpy as np
    import onnxruntime
    session = onnxruntime.InferenceSession(str(models[0]), providers=["CPUExecutionProvider"])
    random, sizes, feeds = np.random.default_rng(0), {}, {}
    for value in session.get_inputs():
        shape = [d if isinstance(d, int) else sizes.setdefault(d, 1 + bool(sizes)) for d in value.shape]
        feeds[value.name] = np.ones(shape, np.int64) if "int64" in value.type else random.random(shape, dtype=np.float32)
    np.savez(folder / "feeds.npz", **feeds)
    expected = session.run(None, feeds)
    worst = 0
    for model in models:
        subprocess.run([tandem, "run", model, "--input", folder / "feeds.npz", "--output", folder / "out.npz"], check=True, stdout=subprocess.DEVNULL)
        got = np.load(folder / "out.npz")
        for value, reference in zip(session.get_outputs(), expected):
            worst = max(worst, float(np.abs(got[value.name] - reference).max() / np.abs(reference).max()))
    assert worst < 1e-3, f"Tandem and onnxruntime disagree: {worst}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=pathlib.Path)
    parser.add_argument("--bench", default="build/release/bin/load_bench")
    parser.add_argument("--tandem", default="build/release/bin/tandem")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    print(f"{'model':<20} {'how':<24} {'ms':>9} {'cpu ms':>9} {'MiB':>9} {'run ms':>9} {'MiB':>9}")
    for model in args.models:
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            compiled = folder / "model.tdm"
            checked = folder / "checked.tdm"
            subprocess.run([args.tandem, "compile", model, "-o", checked], check=True, stdout=subprocess.DEVNULL)
            subprocess.run([args.bench, model, "--compile", compiled], check=True)
            kept = {".ort": folder / "model.ort", "optimized": folder / "optimized.onnx"}
            for path in kept.values():
                subprocess.run([sys.executable, "-c", PEER, model, "on", path], check=True, stdout=subprocess.DEVNULL)
            # Apart: a process begins with its parent's ru_maxrss, so this one has to stay small.
            checker = multiprocessing.get_context("spawn").Process(target=validate, args=(args.tandem, [model, compiled, checked], folder))
            checker.start()
            checker.join()
            if checker.exitcode != 0:
                sys.exit(f"{model}: not measured")
            checked.unlink()
            contestants = {"tandem": [args.bench, model], "tandem .tdm": [args.bench, compiled],
                           "onnxruntime": [sys.executable, "-c", PEER, model, "on"],
                           "onnxruntime, unoptimized": [sys.executable, "-c", PEER, model, "off"],
                           "onnxruntime .ort": [sys.executable, "-c", PEER, kept[".ort"], "off"],
                           "onnxruntime optimized": [sys.executable, "-c", PEER, kept["optimized"], "off"]}
            rows = {name: [] for name in contestants}
            for _ in range(args.rounds):
                for name, command in contestants.items():
                    rows[name].append(measure(command))
            medians = {name: [statistics.median(column) for column in zip(*runs)] for name, runs in rows.items()}
            for name, row in medians.items():
                print(f"{model.stem:<20} {name:<24}" + "".join(f" {figure:>9.1f}" for figure in row))
            for ours in ("tandem", "tandem .tdm"):
                for peer in list(contestants)[2:]:
                    ratios = [a / b for a, b in zip(medians[ours], medians[peer])]
                    print(f"{'':<20} {ours} / {peer}: time {ratios[0]:.2f}, cpu {ratios[1]:.2f}, memory {ratios[2]:.2f}")


if __name__ == "__main__":
    main()
