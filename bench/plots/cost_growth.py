#!/usr/bin/env python3
"""How cost grows with the size of the work: batch 1 to 64, sequence 64 to 2,048, image 128 to 512, Tandem beside onnxruntime; one SVG each.

    python bench/plots/cost_growth.py [--out FOLDER] [--only batch] [--precision f32] [--threads 1] [--seconds 0.2]

A curve is time an item, a word or a pixel over the size, both axes logarithmic: flat is in proportion, a step is a cliff. Measures as
bench/peers/inference.py does, and prints the figures; growth.json in the folder keeps them, and --from growth.json draws them again.
"""
import argparse
import json
import math
import pathlib
import statistics
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench" / "peers"))

# title -> (unit, sizes, network, sizes of its inputs at x, what the time is divided by)
PLOTS = {
    "batch": ("row of a batch", [1, 2, 4, 8, 16, 32, 64], "mobilenet_v2", lambda x: {"batch": x}, lambda x: x),
    "batch of rows": ("row of a batch", [1, 2, 4, 8, 16, 32, 64], "mlp", lambda x: {"batch": x}, lambda x: x),
    "sequence": ("word", [64, 128, 256, 512, 1024, 2048], "bert", lambda x: {"sequence": x}, lambda x: x),
    "image": ("pixel", [128, 160, 192, 224, 256, 320, 384, 512], "resnet18", lambda x: {"image": x}, lambda x: x * x),
}
COLOURS = {"Tandem": "#0b6e4f", "onnxruntime": "#c05621"}
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 360, 70, 20, 50, 50


def measure(options, network, sizes):
    """name -> ms."""
    import numpy as np
    import peer_models
    from contestant import Contestant, measure_in_turns
    with tempfile.TemporaryDirectory() as folder:
        feed, file = pathlib.Path(folder) / "inputs.npz", peer_models.file_of(network, options.precision)
        np.savez(feed, **peer_models.inputs_of(network, **sizes))
        commands = {
            "Tandem": [options.tandem, "bench", "model", file, "--input", feed, "--threads", options.threads, "--on-request"],
            "onnxruntime": [sys.executable, ROOT / "bench/peers/peer_process.py", "onnxruntime", file, feed, pathlib.Path(folder) / "out.npz",
                            options.threads, options.precision]}
        contestants = [Contestant(name, command, options.threads, {"OMP_NUM_THREADS": str(options.threads)}) for name, command in commands.items()]
        try:
            for contestant in contestants:
                contestant.wait_until_ready()
            measure_in_turns(contestants, options.rounds, options.seconds)
        finally:
            for contestant in contestants:
                contestant.close()
        key, middle = ("median_ms", statistics.median) if options.clock == "wall" else ("processor_ms", min)
        return {contestant.name: middle(r[key] for r in contestant.rounds) for contestant in contestants}


def ticks(low, high):
    """1, 2, 5, 10 ... within [low, high]; steps between them too where these are fewer than three."""
    for digits in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)):
        steps = [m * 10.0 ** e for e in range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1) for m in digits]
        within = [step for step in steps if low <= step <= high]
        if len(within) >= 3:
            break
    return within


def draw(title, unit, sizes, curves, note):
    """The SVG of curves: name -> values, one a size."""
    values = [value for curve in curves.values() for value in curve]
    low, high = min(values) / 1.3, max(values) * 1.3
    wider = max(1.0, math.sqrt(4 / (high / low)))  # a factor of four at least: a few percent are no cliff
    low, high = low / wider, high * wider

    def x_of(size):
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(size / sizes[0]) / math.log(sizes[-1] / sizes[0])

    def y_of(value):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * math.log(value / low) / math.log(high / low)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
             f'<text x="{LEFT}" y="20" font-size="14">{title}: microseconds a {unit}</text>', f'<text x="{LEFT}" y="36" fill="#666">{note}</text>']
    for value in ticks(low, high):
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y_of(value):.1f}" y2="{y_of(value):.1f}" stroke="#ddd"/>'
                     f'<text x="{LEFT - 6}" y="{y_of(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for size in sizes:
        parts.append(f'<text x="{x_of(size):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{size}</text>')
    for n, (name, curve) in enumerate(curves.items()):
        points = " ".join(f"{x_of(size):.1f},{y_of(value):.1f}" for size, value in zip(sizes, curve))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>')
        parts += [f'<circle cx="{point.split(",")[0]}" cy="{point.split(",")[1]}" r="3" fill="{COLOURS[name]}"/>' for point in points.split()]
        parts.append(f'<text x="{LEFT + 120 * n}" y="{HEIGHT - 8}" fill="{COLOURS[name]}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build" / "plots")
    parser.add_argument("--only", choices=list(PLOTS))
    parser.add_argument("--precision", choices=["f32", "int8"], default="f32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall")
    parser.add_argument("--from", dest="kept", type=pathlib.Path, help="figures that were measured before")
    parser.add_argument("--tandem", type=pathlib.Path, default=ROOT / "build/release/bin/tandem")
    return parser.parse_args()


def main():
    options = parse()
    options.out.mkdir(parents=True, exist_ok=True)
    kept = options.kept or options.out / "growth.json"
    figures = json.loads(kept.read_text()) if options.kept or kept.exists() else {}
    for title, (unit, sizes, network, inputs_at, items) in PLOTS.items():
        if (options.only and title != options.only) or (options.kept and title not in figures):
            continue
        if not options.kept:
            figures[title] = {}
            for size in sizes:
                for name, ms in measure(options, network, inputs_at(size)).items():
                    figures[title].setdefault(name, []).append(ms * 1e3 / items(size))
                print(f"{title:<14} {size:>5}  " + "  ".join(f"{name} {curve[-1]:.4g} us" for name, curve in figures[title].items()), flush=True)
        note = f"{network}, {options.precision}, {options.threads} thread{'s' * (options.threads > 1)}, {options.clock} time"
        (options.out / f"{title.replace(' ', '_')}.svg").write_text(draw(title, unit, sizes, figures[title], note))
    if not options.kept:
        (options.out / "growth.json").write_text(json.dumps(figures) + "\n")
    print(f"drawn in {options.out}")


if __name__ == "__main__":
    main()
