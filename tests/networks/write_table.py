"""Builds and runs networks and prints a table; without a pattern it also writes docs/networks.md.

    write_table.py [PATTERN...] [--disable-pass PASS...]     patterns of titles: 'resnet*', '*-dynamo-*'
"""
import argparse
import fnmatch
import importlib.metadata
import time

from all_networks import NETWORKS
from case_folder import case_of, nodes_of
from run_network import ROOT, run

HEAD = """# Real networks

Written by `tests/networks/write_table.py` (packages: {packages}). Each network is exported with seeded random weights, run in onnxruntime
without its optimizer and in Tandem, all its feeds (batch sizes and lengths vary) in one session with strict math; L2 is |got - expected| /
|expected| of the output that is furthest away. Passed: at most 5e-5 (2e-2 for 8 bits), integers and strings equal. "File" in the result column: the exporter
itself could not make the network. What
`tandem export` writes of them: [exports.md](exports.md).

{passed} of {total} pass.

| network | exporter | opset | nodes | result | L2 | message |
|---|---|---|---|---|---|---|
"""
PACKAGES = ("torch", "torchvision", "transformers", "onnxscript", "scikit-learn", "skl2onnx", "onnx", "onnxruntime")


def row(network, disabled):
    cells = [network.name, network.exporter, str(network.opset)]
    try:
        folder = case_of(network)
    except Exception as error:  # whatever an exporter throws
        return False, [*cells, "", "file", "", f"{type(error).__name__}: {error}".splitlines()[0][:200]]
    outcome = run(folder, network.l2, disabled)
    return outcome.passed, [*cells, str(nodes_of(folder)), "passed" if outcome.passed else "failed", f"{outcome.l2:.1e}",
                            outcome.reason.replace("|", "\\|").replace("\n", " ")[:400]]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("patterns", nargs="*")
    parser.add_argument("--disable-pass", nargs="*", default=[])
    options = parser.parse_args()
    lines, passed, total = [], 0, 0
    for network in sorted(NETWORKS, key=lambda network: (network.is_light, network.source, network.name)):
        if options.patterns and not any(fnmatch.fnmatch(network.title, pattern) for pattern in options.patterns):
            continue
        begin = time.monotonic()
        good, cells = row(network, options.disable_pass)
        passed, total = passed + good, total + 1
        lines.append("| " + " | ".join(cells) + " |\n")
        print(lines[-1].rstrip(), f"{time.monotonic() - begin:.1f} s", flush=True)
    print(f"{passed} of {total} pass")
    if not options.patterns:
        packages = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
        (ROOT / "docs/networks.md").write_text(HEAD.format(packages=packages, passed=passed, total=total) + "".join(lines))


if __name__ == "__main__":
    main()
