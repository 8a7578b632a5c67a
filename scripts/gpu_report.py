#!/usr/bin/env python3
"""Turns what run.sh left in one or more folders into results.json and results.md.

usage: gpu_report.py FOLDER...     both files are written into the first folder; several folders are the stages of one run

Only the standard library: it travels with the bundle. scripts/gpu_check --record uses it for docs/gpu_results.md.
"""
import json
import pathlib
import sys

VERDICTS = {0: "passed", 77: "no GPU", 99: "errors found by the sanitizer", 124: "out of time"}


def read_machine(folder):
    lines = [line.partition(": ") for line in (folder / "machine.txt").read_text().splitlines()]
    return {key: value for key, _, value in lines if value}


def read_tests(folder):
    path = folder / "tests.tsv"
    if not path.exists():
        return []
    header, *rows = [line.split("\t") for line in path.read_text().splitlines()]
    return [{key: int(value) if value.isdigit() else value for key, value in zip(header, row)} for row in rows]


def read_bench(folder):
    path = folder / "bench.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")] if path.exists() else []


def read(folders):
    results = {"machine": {}, "tests": [], "bench": []}
    for folder in map(pathlib.Path, folders):
        results["machine"] |= read_machine(folder)
        results["tests"] += read_tests(folder)
        results["bench"] += read_bench(folder)
    return results


def cell(value, form="{}"):
    return "" if value in (None, "") else form.format(value)


def tests_table(tests):
    yield "| tests | result | tests | failed | skipped | seconds |"
    yield "|---|---|---:|---:|---:|---:|"
    for test in sorted(tests, key=lambda row: (":" in row["what"], row["what"])):
        verdict = VERDICTS.get(test["exit"], "failed")
        yield f"| `{test['what']}` | {verdict} | {test['tests']} | {test['failures']} | {test['skipped']} | {test['seconds']} |"


def bench_table(bench):
    yield "| case | us | rate | share of the datasheet | torch us | torch graph us | torch / Tandem |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for row in bench:
        rate = f"{row['rate']:.1f} {row['unit']}" if "rate" in row else ""
        share = cell(100 * row["share"], "{:.0f}%") if "share" in row else ""
        us = row["us"] if "us" in row else 1e3 * row["median_ms"]
        peers = [row.get(key) for key in ("torch_us", "torch_graph_us")]
        ratio = cell(min(filter(None, peers)) / us, "{:.2f}x") if any(peers) else ""
        yield f"| {row['case']} | {us:.2f} | {rate} | {share} | {' | '.join(cell(peer, '{:.2f}') for peer in peers)} | {ratio} |"


def markdown(results):
    machine = results["machine"]
    lines = [f"## {machine.get('date', 'no date')}: {machine.get('device', 'no device')}", ""]
    lines += [", ".join(f"{key} {value}" for key, value in machine.items() if key not in ("date", "device")) + ".", ""]
    for rows, table in ((results["tests"], tests_table), (results["bench"], bench_table)):
        if rows:
            lines += [*table(rows), ""]
    return "\n".join(lines)


def main(folders):
    results = read(folders)
    first = pathlib.Path(folders[0])
    (first / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (first / "results.md").write_text(markdown(results))
    print(markdown(results))


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(sys.argv[1:])
