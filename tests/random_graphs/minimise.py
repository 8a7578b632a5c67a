"""Makes a failing graph small: leaves out outputs and nodes as long as it fails in the same way.

A node is left out by giving its results, which are known, as inputs of the graph. All graphs that are one step smaller run in one batch.
"""
import dataclasses
import pathlib
import tempfile

import onnx
from onnx import helper

from builder import captured_names, run_onnxruntime, type_of
from harness import run_cases, write_case

MOST_ROUNDS = 40


def needed_nodes(nodes, outputs):
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= set(captured_names(node))
            kept.append(node)
    return kept[::-1], wanted


def rebuild(case, nodes, outputs):
    """The case with these nodes and outputs only: what nobody computes any more is an input."""
    nodes, wanted = needed_nodes(nodes, [o.name for o in outputs])
    made = {name for node in nodes for name in node.output}
    old = case.model.graph
    initializers = [i for i in old.initializer if i.name in wanted]
    defaults = {i.name for i in initializers}
    inputs = [i for i in old.input if i.name in wanted and i.name not in defaults]
    known = {v.name for v in inputs} | defaults | made
    inputs += [helper.make_value_info(n, type_of(case.values[n])) for n in sorted(wanted - known) if n in case.values]
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    model.graph.CopyFrom(helper.make_graph(nodes, old.name, inputs, outputs, initializers))
    arrays = [case.values[i.name] for i in inputs]
    expected = run_onnxruntime(model, {i.name: a for i, a in zip(inputs, arrays)})
    return dataclasses.replace(case, model=model, inputs=arrays, expected=expected, more=[])


def smaller(case):
    graph = case.model.graph
    nodes, outputs = list(graph.node), list(graph.output)
    if len(outputs) > 1:
        yield from (lambda o=o: rebuild(case, nodes, [o]) for o in outputs)
        yield from (lambda o=o: rebuild(case, nodes, [p for p in outputs if p is not o]) for o in outputs)
    for size in (len(nodes) // 2, len(nodes) // 4, 1):
        for start in range(0, len(nodes), size) if size else []:
            left = nodes[:start] + nodes[start + size:]
            yield lambda left=left: rebuild(case, left, outputs)


def attempt(make):
    try:
        return make()
    except Exception:  # noqa: BLE001 (not a valid graph: another one will be)
        return None


def minimise(case, kind, disabled=()):
    """The smallest case found that has an outcome of this kind, and the reason that it has then."""
    reason = ""
    for _ in range(MOST_ROUNDS):
        found = [c for c in map(attempt, smaller(case)) if c is not None]
        found = [c for c in found if len(c.model.graph.node) + len(c.model.graph.output) < len(case.model.graph.node) + len(case.model.graph.output)]
        with tempfile.TemporaryDirectory() as folder:
            for i, c in enumerate(found):
                write_case(pathlib.Path(folder) / f"seed_{i}", c)
            outcomes = run_cases(folder, disabled) if found else {}
        failing = [i for i in range(len(found)) if f"seed_{i}" in outcomes and outcomes[f"seed_{i}"].kind == kind]
        if not failing:
            return case, reason
        best = min(failing, key=lambda i: len(found[i].model.graph.node))
        case, reason = found[best], outcomes[f"seed_{best}"].reason
    return case, reason


