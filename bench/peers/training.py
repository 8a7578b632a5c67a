#!/usr/bin/env python3
"""Training steps of Tandem beside torch's: the same networks, weights and data in both; one command.

    python bench/peers/training.py                                 every network, f32
    python bench/peers/training.py --case char-gpt --rounds 3      a few seconds: after each change of a kernel
    python bench/peers/training.py --math fast                     Winograd's convolutions where they are faster
    python bench/peers/training.py --compiled                      torch.compile too, which takes a minute a network

torch exports each network with its initial weights; Tandem reads the file, adds loss, gradients and optimizer, and trains. Before anything is
timed, the losses of the first steps must agree. Then each contestant runs in a process of its own, stopped while another runs, in turns, pinned
alike. Prints medians over the rounds, Tandem's ratio to the best peer (above 1: Tandem is faster) beside the aim, its share of what the
machine's arithmetic can do, and the most memory each process held. `--clock processor` compares processor time, for a busy machine.
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

import numpy as np

import training_models
from contestant import Contestant, measure_in_turns

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
AGREEMENT = {"f32": 1e-4, "bf16": 2e-2}  # of losses, relative


def prepare(case, folder):
    """(model file, file of the batch)"""
    model, batch = folder / f"{case}.onnx", folder / f"{case}.npz"
    training_models.export(case, model)
    _, inputs, targets = training_models.seeded(case)
    np.savez(batch, x=inputs.numpy(), target=targets.numpy())
    return model, batch


def contestants_of(options, case, model, batch):
    threads = options.threads
    tandem = [options.tandem, "bench", "train", model, "--input", batch, "--threads", threads, "--losses", options.losses, *training_models.tandem_options(case),
              "--precision", options.precision, "--math", options.math]
    peer = [sys.executable, HERE / "training_process.py", case, threads, options.precision]
    found = [Contestant("Tandem", [*tandem, "--on-request"], threads), Contestant("torch", [*peer, "eager", options.losses], threads)]
    if options.compiled:
        found.append(Contestant("torch.compile", [*peer, "compiled", options.losses], threads))
    return found


def check_losses(contestants, precision):
    """The largest relative difference to torch's."""
    reference, worst = np.array(contestants[1].facts["losses"]), 0
    for contestant in contestants:
        apart = np.max(np.abs(np.array(contestant.facts["losses"]) - reference) / np.abs(reference))
        if not apart <= AGREEMENT[precision]:
            raise SystemExit(f"{contestant.name} and torch have other losses: {contestant.facts['losses']}, {list(reference)}")
        worst = max(worst, apart)
    return worst


def ceiling(options):
    """Multiply-adds in this precision, as operations a second on all threads or on one; at least those in f32."""
    done = subprocess.run([str(options.tandem), "bench", "machine", "--json"], capture_output=True, text=True, check=True)
    rates = json.loads(done.stdout)["operations_per_second"]
    return max(rate["one" if options.threads == 1 else "all"] for name, rate in rates.items() if name.startswith(("f32", options.precision)))


def compare(options, case, operations):
    clock = {"wall": "median_ms", "processor": "processor_ms"}[options.clock]
    with tempfile.TemporaryDirectory() as name:
        contestants = contestants_of(options, case, *prepare(case, pathlib.Path(name)))
        try:
            for contestant in contestants:
                contestant.wait_until_ready()
            row = {"case": case, "precision": options.precision, "math": options.math, "threads": options.threads, "aim": training_models.CASES[case].aims[options.precision],
                   "losses_apart": check_losses(contestants, options.precision)}
            measure_in_turns(contestants, options.rounds, options.seconds)
            middle = min if options.clock == "processor" else statistics.median
            row["ms"] = {c.name: middle(answer[clock] for answer in c.rounds) for c in contestants}
            row["process_bytes"] = {c.name: c.facts["process_bytes"] for c in contestants}
        finally:
            for contestant in contestants:
                contestant.close()
        row["ratio"] = min(ms for name, ms in row["ms"].items() if name != "Tandem") / row["ms"]["Tandem"]
        row["share_of_ceiling"] = contestants[0].facts["gflop"] * 1e12 / row["ms"]["Tandem"] / operations
    return row


def show(row):
    times = "  ".join(f"{name} {ms:.4g} ms" for name, ms in row["ms"].items())
    memory = ", ".join(f"{name} {bytes >> 20}" for name, bytes in row["process_bytes"].items())
    print(f"{training_models.CASES[row['case']].label}: {times}  {row['ratio']:.2f}x (aim {row['aim']}x), {100 * row['share_of_ceiling']:.0f}% of the "
          f"ceiling; losses {row['losses_apart']:.0e} apart; MiB: {memory}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tandem", default=ROOT / "build/release/bin/tandem")
    parser.add_argument("--case", action="append", choices=list(training_models.CASES), help="only this one; may be repeated")
    parser.add_argument("--precision", choices=list(AGREEMENT), default="f32")
    parser.add_argument("--math", choices=["strict", "fast"], default="strict", help="Tandem's: fast is Winograd's convolutions where faster")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--losses", type=int, default=4, help="of how many first steps they must agree")
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall")
    parser.add_argument("--compiled", action="store_true", help="torch.compile as one more contestant")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows, operations = [], ceiling(options)
    for case in options.case or training_models.CASES:
        if options.precision in training_models.CASES[case].aims:
            rows.append(compare(options, case, operations))
            if not options.json:
                show(rows[-1])
    if options.json:
        print(json.dumps({"machine": platform.processor() or platform.machine(), "rows": rows}))


if __name__ == "__main__":
    main()
