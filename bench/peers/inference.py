#!/usr/bin/env python3
"""Tandem beside every peer that is installed, on the same files and inputs: one command.

    python bench/peers/inference.py                                  every row, f32 and int8, one and two threads
    python bench/peers/inference.py --only mobilenet --rounds 3      a few seconds: after each change of a kernel
    python bench/peers/inference.py --only resnet --precision f32 --math fast
    python bench/peers/inference.py --precision bf16                 products of bf16 on the f32 files: OpenVINO's hint, torch's autocast

Checks first that the answers agree. Then each contestant runs in a process of its own, stopped while another runs, in turns, pinned alike. Prints
medians over the rounds, Tandem's ratio to the best peer (above 1: Tandem is faster) beside the aim, its share of what the machine can do (of
arithmetic, or of reading the weights), and the most memory each process held. Peers: onnxruntime, openvino, torch (f32), and for the rows
gemm and gemv oneDNN (f32, bf16) and OpenBLAS (f32), as far as they are there.
On a busy machine `--clock processor` compares processor time, which others do not add to; meant for one thread.
"""
import argparse
import dataclasses
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np

import peer_models
import product_peers
from contestant import Contestant, Failed, measure_in_turns

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
PEERS = [name for name in ("onnxruntime", "openvino", "torch") if importlib.util.find_spec(name)] + product_peers.installed()
# Relative L2 distance to the first peer. int8: each rounds where it likes, and by default computes the rest in what it likes.
AGREEMENT = {"f32": 1e-3, "bf16": 0.05, "int8": 0.25}


@dataclasses.dataclass(frozen=True)
class Row:
    network: str
    sizes: dict
    aims: dict  # precision -> ratio to the best peer, or ("ceiling" or "bandwidth", share)
    name: str

    def label(self):
        return self.name + "".join(f", {key} {value}" for key, value in self.sizes.items())


def row(network, aims, name=None, **sizes):
    return Row(network, sizes, aims, name or network)


def rows():
    for n in (512, 1024, 2048, 4096):
        yield row(f"gemm{n}", {"f32": ("ceiling", 0.92), "bf16": ("ceiling", 0.85), "int8": ("ceiling", 0.85)}, batch=n)
    for n in (768, 2048, 4096):
        for m in (1, 4, 16):
            yield row(f"gemv{n}", {"f32": ("bandwidth", 0.9), "bf16": ("bandwidth", 0.9), "int8": ("bandwidth", 0.9)}, batch=m)
    yield row("resnet50", {"f32": 1.2, "bf16": 1.0, "int8": 1.1}, batch=1)
    yield row("resnet50", {"f32": 1.2, "bf16": 1.0, "int8": 1.03}, batch=8)
    yield row("resnet18", {"f32": 1.4, "bf16": 1.0, "int8": 1.05}, batch=1)
    yield row("mobilenet_v2", {"f32": 1.25, "bf16": 1.2, "int8": 1.4}, batch=1)
    yield row("efficientnet_b0", {"f32": 1.35, "bf16": 1.5, "int8": 2.5}, batch=1)
    yield row("bert", {"f32": 1.08, "bf16": 1.1, "int8": 1.25}, batch=1, sequence=128)
    yield row("bert", {"f32": 1.05, "bf16": 1.05, "int8": 1.2}, batch=8, sequence=128)
    yield row("gpt2", {"f32": 1.2, "bf16": 1.2, "int8": 1.2}, past=512)
    yield row("mlp", {"f32": 2.0, "int8": 2.0}, batch=1)
    yield row("mlp", {"f32": 1.15, "int8": 1.5}, batch=64)


class Progress:
    """A bar on a terminal, nothing elsewhere."""
    def __init__(self, total):
        self.total, self.done = total, 0

    def step(self, text):
        self.done += 1
        if sys.stderr.isatty():
            filled = 24 * self.done // self.total
            print(f"\r[{'#' * filled}{'.' * (24 - filled)}] {self.done}/{self.total}  {text:<60.60}", end="", file=sys.stderr, flush=True)

    def clear(self):
        if sys.stderr.isatty():
            print(f"\r{'':<100}\r", end="", file=sys.stderr, flush=True)


def model_of(item, precision):
    """bf16 is asked of f32 files."""
    return peer_models.file_of(item.network, "f32" if precision == "bf16" else precision)


def commands(options, item, precision, threads, folder, feed_file):
    """name -> (command, file of its answers)."""
    file, tandem = model_of(item, precision), ["--math", options.math, *(["--precision", "bf16"] if precision == "bf16" else [])]
    answers = {name: folder / f"{name}.npz" for name in ("Tandem", *options.peers)}
    found = {"Tandem": [options.tandem, "bench", "model", file, "--input", feed_file, "--threads", threads, "--on-request", "--output", answers["Tandem"],
                        *tandem]}
    for peer in options.peers:
        if peer == "onnxruntime" and precision == "bf16":
            continue  # has no such kernels for CPUs
        if peer in product_peers.PRECISIONS and not (item.network.startswith(("gemm", "gemv")) and precision in product_peers.PRECISIONS[peer]):
            continue
        if peer != "torch":
            found[peer] = [sys.executable, HERE / "peer_process.py", peer, file, feed_file, answers[peer], threads, precision]
        elif precision != "int8":
            found[peer] = [sys.executable, HERE / "peer_process.py", peer, item.network, feed_file, answers[peer], threads, precision]
    return found, answers


def distance(answers, reference):
    """The largest relative L2 distance of any output."""
    ours, theirs = np.load(answers), np.load(reference)
    def apart(a, b):
        a, b = a.astype(np.float64), b.astype(np.float64)
        return np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-30)
    missing = set(theirs.files) - set(ours.files)
    return float("inf") if missing else max(apart(ours[name], theirs[name]) for name in theirs.files)


class Ceilings:
    """What the machine does at best by number of threads, as `tandem bench model` finds it beside each model: the most that was seen counts."""
    def __init__(self):
        self.seen = {}

    def shares(self, options, item, precision, threads, feed_file, ms):
        """Of a run that takes `ms`: of the ceiling of arithmetic, and of reading weights and inputs."""
        command = [options.tandem, "bench", "model", model_of(item, precision), "--input", feed_file, "--threads", threads,
                   "--precision", "bf16" if precision == "bf16" else "f32", "--math", options.math, "--seconds", 0.01, "--json"]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True)
        facts = json.loads(done.stdout.splitlines()[-1])
        best = self.seen.setdefault(threads, {})
        for name, rate in facts["ceilings"].items():
            best[name] = max(rate, best.get(name, 0))
        all_of_it = facts["gflop"] * 1e9
        integer, short = facts["int8_share"] * all_of_it, facts.get("bf16_share", 0) * all_of_it
        products = integer / best.get("int8_per_second", 1) + short / best.get("bf16_per_second", 1) + (all_of_it - integer - short) / best["f32_per_second"]
        return products * 1e3 / ms, facts["bytes_moved"] / best["read_bytes_per_second"] * 1e3 / ms


def compare(options, ceilings, item, precision, threads, progress):
    result = {"row": item.label(), "precision": precision, "threads": threads, "aim": item.aims[precision], "contestants": {}, "notes": []}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        feed_file = folder / "inputs.npz"
        np.savez(feed_file, **peer_models.inputs_of(item.network, **item.sizes))
        wanted, answers = commands(options, item, precision, threads, folder, feed_file)
        started = [Contestant(name, command, threads, {"OMP_NUM_THREADS": str(threads), **product_peers.environment(name)})
                   for name, command in wanted.items()]
        contestants = []
        try:
            for contestant in started:
                try:
                    contestant.wait_until_ready()
                    contestants.append(contestant)
                except Failed as error:
                    result["notes"].append(str(error))
            agree(result, contestants, answers, precision)
            measure_in_turns(contestants, options.rounds, options.seconds,
                             progress=lambda done: progress.step(f"{item.label()} {precision}, {threads} threads") if done % len(contestants) == 0 else None)
        finally:
            for contestant in started:
                contestant.close()
        for contestant in contestants:
            key, middle = ("median_ms", statistics.median) if options.clock == "wall" else ("processor_ms", min)
            result["contestants"][contestant.name] = {"ms": middle(r[key] for r in contestant.rounds),
                                                      "process_bytes": contestant.facts["process_bytes"]}
        if "Tandem" in result["contestants"]:
            result["share_of_ceiling"], result["share_of_bandwidth"] = ceilings.shares(options, item, precision, threads, feed_file,
                                                                                      result["contestants"]["Tandem"]["ms"])
            conclude(result)
    return result


def agree(result, contestants, answers, precision):
    """Notes who differs from the first peer, and leaves it in: a wrong answer is to be seen."""
    running = [c.name for c in contestants]
    reference = next((name for name in running if name != "Tandem"), None)
    if reference is None:
        return
    result["distance"] = {name: distance(answers[name], answers[reference]) for name in running if name != reference}
    for name, apart in result["distance"].items():
        if apart > AGREEMENT[precision]:
            result["notes"].append(f"{name} is {apart:.2g} from {reference}")


def conclude(result):
    """The ratio to the best peer, and whether the aim is met."""
    peers = {name: value["ms"] for name, value in result["contestants"].items() if name != "Tandem"}
    if peers:
        result["best_peer"] = min(peers, key=peers.get)
        result["ratio"] = peers[result["best_peer"]] / result["contestants"]["Tandem"]["ms"]
    aim = result["aim"]
    if isinstance(aim, tuple):
        result["aim_met"] = result[f"share_of_{aim[0]}"] >= aim[1]
    elif "ratio" in result:
        result["aim_met"] = result["ratio"] >= aim


def print_row(result, peers):
    aim = result["aim"]
    aim_text = f"{100 * aim[1]:.0f}% {aim[0][0]}." if isinstance(aim, tuple) else f"{aim:.2f}x"
    cells = [f"{result['row']:<28} {result['precision']:<5} {result['threads']:>2}"]
    for name in ("Tandem", *peers):
        value = result["contestants"].get(name)
        cells.append(f"{value['ms']:>10.4g}" if value else f"{'-':>10}")
    met = {True: "met", False: "", None: "?"}[result.get("aim_met")]
    cells.append(f"{result.get('ratio', float('nan')):>6.2f}x {aim_text:>7} {met:<4} {100 * result.get('share_of_ceiling', float('nan')):>6.1f}% "
                 f"{100 * result.get('share_of_bandwidth', float('nan')):>6.1f}%")
    cells.append(" ".join(f"{value['process_bytes'] >> 20:>6}" for value in result["contestants"].values()))
    print("  ".join(cells), flush=True)
    for note in result["notes"]:
        print(f"    {note}")


def geometric_mean(values):
    return statistics.geometric_mean(values) if values else float("nan")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", help="rows whose name holds this; may be repeated")
    parser.add_argument("--precision", action="append", choices=["f32", "bf16", "int8"])
    parser.add_argument("--math", choices=["strict", "fast"], default="strict", help="Tandem's: fast takes Winograd's convolutions where faster")
    parser.add_argument("--threads", action="append", type=int, help="default: 1 and 2")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="of a round, at least five runs")
    parser.add_argument("--peers", type=lambda text: text.split(","), default=PEERS, help="of " + ",".join(PEERS))
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall")
    parser.add_argument("--tandem", type=pathlib.Path, default=ROOT / "build/release/bin/tandem")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main():
    options = parse()
    chosen = [item for item in rows() if not options.only or any(word in item.label() for word in options.only)]
    if not chosen:
        sys.exit("no row has such a name; there are: " + "; ".join(item.label() for item in rows()))
    cases = [(item, precision, threads) for item in chosen for precision in options.precision or ["f32", "int8"] if precision in item.aims
             for threads in options.threads or [n for n in (1, 2) if n <= len(os.sched_getaffinity(0))]]
    progress = Progress(len(cases) * options.rounds)
    if not options.json:
        print(f"{'row':<28} {'type':<5} {'th':>2}  " + "  ".join(f"{name:>10}" for name in ("Tandem", *options.peers))
              + f"  {'ratio':>7} {'aim':>7} {'':<4} {'ceil.':>7} {'bandw.':>7}  MiB of each")
    results, ceilings = [], Ceilings()
    for case in cases:
        results.append(compare(options, ceilings, *case, progress))
        progress.clear()
        if not options.json:
            print_row(results[-1], options.peers)
    ratios = [result["ratio"] for result in results if "ratio" in result]
    if options.json:
        print(json.dumps({"geometric_mean": geometric_mean(ratios), "clock": options.clock, "rows": results}))
    else:
        print(f"geometric mean of {len(ratios)} ratios: {geometric_mean(ratios):.2f}x")


if __name__ == "__main__":
    main()
