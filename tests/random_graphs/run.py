"""Runs many random graphs: python tests/random_graphs/run.py --first 1 --count 2000 [--keep FOLDER].

Each graph runs with all passes and with none; what does not give onnxruntime's results is made small and printed with its seed. The exit
code is 1 if one is wrong, crashed or refused. $TANDEM_BIN names the program (default: build/release/bin/tandem).
"""
import argparse
import collections
import pathlib
import re
import shutil
import sys
import tempfile


import generator
import harness
from minimise import minimise

BAD = ("wrong", "crashed", "refused")


class Report:
    def __init__(self):
        self.kinds = {"all passes": collections.Counter(), "no passes": collections.Counter()}
        self.failures = []  # (seed, way, Outcome, text)
        self.discarded = self.optimizer_differs = 0
        self.missing = collections.Counter()
        self.ops = collections.Counter()

    def text(self):
        lines = [f"{way}: {sum(c.values())} graphs, " + ", ".join(f"{c[k]} {k}" for k in ("right", "missing", *BAD)) for way, c in self.kinds.items()]
        lines.append(f"{self.discarded} seeds led to no graph; onnxruntime's optimizer changed the results of {self.optimizer_differs}")
        if self.missing:
            lines.append("ops that are not there: " + ", ".join(f"{op} ({n})" for op, n in self.missing.most_common()))
        return "\n".join(lines)


def signature(reason):
    """A reason without names and numbers: failures with one signature have one cause, most of the time."""
    return re.sub(r"[-\d.]+(e[-+]?\d+)?|'[^']*'|\"[^\"]*\"", "#", reason)[:160]


def describe(case, way, outcome, disabled, small):
    reason = outcome.reason
    if small:
        case, found = minimise(case, outcome.kind, disabled)
        reason = found or reason
    inputs = "\n".join(f"  {i.name} = {str(a.tolist()) if hasattr(a, 'tolist') else a}"[:300] for i, a in zip(case.model.graph.input, case.inputs))
    return f"seed {case.seed}, {way}: {outcome.kind}: {reason}\n{harness.text_of(case.model)}\n{inputs}"


def run_batch(first, count, folder, report, optimizer=False, most_minimised=12):
    folder = pathlib.Path(folder)
    report.discarded += harness.make_cases(first, count, folder, optimizer)
    names = harness.pass_names()
    seen = {signature(outcome.reason) + outcome.kind for _, _, outcome, _ in report.failures}
    for way, disabled in (("all passes", []), ("no passes", names)):
        for name, outcome in harness.run_cases(folder, disabled).items():
            report.kinds[way][outcome.kind] += 1
            if outcome.kind == "missing":
                report.missing.update(set(re.findall(r"(\w+)-\d+\b", outcome.reason)) if way == "no passes" else [])
            if outcome.kind not in BAD:
                continue
            mark = signature(outcome.reason) + outcome.kind
            case = harness.load_case(folder / name)
            text = describe(case, way, outcome, disabled, len(seen) < most_minimised and mark not in seen) if mark not in seen else ""
            seen.add(mark)
            report.failures.append((case.seed, way, outcome, text))
    for path in folder.glob("seed_*/case.pickle"):
        case = harness.load_case(path.parent)
        report.optimizer_differs += case.optimizer_differs
        report.ops.update(generator.op_counts([case]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=250)
    parser.add_argument("--optimizer", action="store_true", help="count also where onnxruntime's optimizer changes its own results")
    parser.add_argument("--keep", help="copy failing cases to this folder")
    arguments = parser.parse_args()
    report = Report()
    for first in range(arguments.first, arguments.first + arguments.count, arguments.batch):
        count = min(arguments.batch, arguments.first + arguments.count - first)
        with tempfile.TemporaryDirectory() as folder:
            before = len(report.failures)
            run_batch(first, count, folder, report, arguments.optimizer)
            for seed, way, outcome, text in report.failures[before:]:
                print("\n" + text if text else f"seed {seed}, {way}: {outcome.kind}: {outcome.reason[:300]}", flush=True)
                if arguments.keep:
                    shutil.copytree(pathlib.Path(folder) / f"seed_{seed}", pathlib.Path(arguments.keep) / f"seed_{seed}", dirs_exist_ok=True)
        print(f"seeds {first} to {first + count - 1} done, {len(report.failures)} failures", file=sys.stderr, flush=True)
    print("\n" + report.text())
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
