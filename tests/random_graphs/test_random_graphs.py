"""Random valid ONNX graphs, composed of the ops and the traps of real models, give what onnxruntime gives with nothing optimized.

$RANDOM_GRAPHS sets how many (250), $RANDOM_GRAPHS_SEED the first seed (today's are fixed); tests/random_graphs/run.py runs thousands.
"""
import os

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import exported  # noqa: E402
import generator  # noqa: E402
import harness  # noqa: E402
import minimise  # noqa: E402
import run  # noqa: E402

COUNT = int(os.environ.get("RANDOM_GRAPHS", 250))
FIRST = int(os.environ.get("RANDOM_GRAPHS_SEED", 20_000))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    report = run.Report()
    run.run_batch(FIRST, COUNT, tmp_path_factory.mktemp("graphs"), report, most_minimised=3)
    print(f"seeds {FIRST} to {FIRST + COUNT - 1}\n{report.text()}")
    return report


def test_every_graph_gives_the_results_of_onnxruntime(report):
    assert not report.failures, "\n\n".join(text or f"seed {seed}, {way}: {outcome}" for seed, way, outcome, text in report.failures[:10])


def test_the_generator_is_not_silent(report):
    """Most seeds lead to a graph, most graphs run, and what they are made of is various."""
    assert report.discarded < COUNT / 5
    assert report.kinds["all passes"]["right"] > COUNT / 4
    assert len(report.ops) > 100


def test_a_seed_always_makes_the_same_graph():
    one, two = generator.generate(FIRST), generator.generate(FIRST)
    assert one.model.SerializeToString() == two.model.SerializeToString()
    assert all(np.array_equal(a, c) for a, c in zip(one.inputs, two.inputs, strict=True))


def test_a_wrong_result_is_found_and_its_graph_made_small(tmp_path, monkeypatch):
    """Something else is expected of one op than it gives: the graph that is printed holds little more than that op."""
    def has_tanh(case):
        return any(node.op_type == "Tanh" and node.output[0] in {o.name for o in case.model.graph.output} for node in case.model.graph.node)

    def spoilt(case):
        tanhs = {node.output[0] for node in case.model.graph.node if node.op_type == "Tanh"}
        case.expected = [e + 1 if o.name in tanhs else e for o, e in zip(case.model.graph.output, case.expected)]
        return case

    def runs_right(case):
        folder = tmp_path / f"right_{case.seed}"
        harness.write_case(folder / "seed_0", case)
        return harness.run_cases(folder)["seed_0"].kind == "right"

    cases = filter(None, map(generator.generate, range(FIRST, FIRST + 200)))
    case = spoilt(next(c for c in cases if len(c.model.graph.node) > 8 and has_tanh(c) and runs_right(c)))
    rebuild = minimise.rebuild
    monkeypatch.setattr(minimise, "rebuild", lambda *arguments: spoilt(rebuild(*arguments)))
    harness.write_case(tmp_path / "spoilt/seed_0", case)
    assert harness.run_cases(tmp_path / "spoilt")["seed_0"].kind == "wrong"
    small, reason = minimise.minimise(case, "wrong")
    assert [node.op_type for node in small.model.graph.node] == ["Tanh"]
    assert "elements differ" in reason


def test_what_is_exported_computes_the_same_in_onnxruntime():
    seeds = range(FIRST, FIRST + COUNT // 5)
    faults = {case.seed: exported.fault(case) for case in map(generator.generate, seeds) if case}
    assert {seed: text for seed, text in faults.items() if text and "not supported" not in text} == {}
