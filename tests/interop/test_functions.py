"""Models with functions of their own, made with the onnx package: the same as in onnxruntime or onnx's reference, or refused with the reason."""
import os
import pathlib
import subprocess

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.path.abspath(os.environ.get("TANDEM_BIN", ROOT / "build/release/bin/tandem"))
X = np.random.default_rng(5).normal(size=(3, 4)).astype(np.float32)
OPSET = 18


def info(name, shape=(3, 4), dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def function(name, inputs, outputs, nodes, attributes=(), defaults=(), opset=OPSET, domain="local", overload=""):
    made = helper.make_function(domain, name, inputs, outputs, nodes, [helper.make_opsetid("", opset), helper.make_opsetid("local", 1)],
                                attributes=list(attributes), attribute_protos=list(defaults))
    if overload:
        made.overload = overload
    return made


def model(nodes, functions, outputs=("y",), opset=OPSET):
    graph = helper.make_graph(nodes, "g", [info("x")], [helper.make_empty_tensor_value_info(name) for name in outputs])
    for output in graph.output:
        output.type.tensor_type.elem_type = TensorProto.FLOAT
    return helper.make_model(graph, functions=functions, ir_version=10,
                             opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("local", 1)])


def call(op, inputs, outputs, name="", **attributes):
    return helper.make_node(op, inputs, outputs, name=name, domain="local", **attributes)


def with_reference(node, name, kind, parameter):
    """The node with an attribute that is the function's parameter."""
    attribute = onnx.AttributeProto(name=name, type=kind, ref_attr_name=parameter)
    node.attribute.append(attribute)
    return node


def write(tmp_path, proto, x, expected):
    data = tmp_path / "case/test_data_set_0"
    data.mkdir(parents=True, exist_ok=True)
    (tmp_path / "case/model.onnx").write_bytes(proto.SerializeToString())
    (data / "input_0.pb").write_bytes(numpy_helper.from_array(x).SerializeToString())
    for i, array in enumerate(expected):
        (data / f"output_{i}.pb").write_bytes(numpy_helper.from_array(array).SerializeToString())


def conformance(tmp_path):
    done = subprocess.run([BINARY, "conformance", tmp_path / "case", "--verbose"], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def check(tmp_path, proto, expected=None, x=X):
    if expected is None:
        expected = ReferenceEvaluator(proto).run(None, {"x": x})
    write(tmp_path, proto, x, [np.asarray(e, np.float32) for e in expected])
    code, text = conformance(tmp_path)
    assert code == 0, text


def refuses(tmp_path, proto, *says):
    write(tmp_path, proto, X, [X])
    code, text = conformance(tmp_path)
    assert code == 1 and all(word in text for word in says), text


def add_twice():
    return function("AddTwice", ["a", "b"], ["c"], [helper.make_node("Add", ["a", "b"], ["t"]), helper.make_node("Add", ["t", "b"], ["c"])])


def test_two_calls_do_not_share_names(tmp_path):
    proto = model([call("AddTwice", ["x", "x"], ["t"]), call("AddTwice", ["t", "x"], ["y"])], [add_twice()])
    check(tmp_path, proto, [5 * X])
    check(tmp_path, proto)


def test_names_that_expansion_would_choose_are_left_alone(tmp_path):
    nodes = [call("AddTwice", ["x", "x"], ["u"], name="f"), helper.make_node("Neg", ["u"], ["f/t"]), helper.make_node("Add", ["f/t", "u"], ["y"])]
    check(tmp_path, model(nodes, [add_twice()]), [0 * X])


def leaky(default=None):
    node = with_reference(helper.make_node("LeakyRelu", ["a"], ["b"]), "alpha", onnx.AttributeProto.FLOAT, "slope")
    if default is None:
        return function("Leaky", ["a"], ["b"], [node], attributes=["slope"])
    return function("Leaky", ["a"], ["b"], [node], defaults=[helper.make_attribute("slope", default)])


def test_attributes_given_by_default_and_absent(tmp_path):
    check(tmp_path, model([call("Leaky", ["x"], ["y"], slope=0.5)], [leaky()]), [np.where(X < 0, 0.5 * X, X)])
    check(tmp_path, model([call("Leaky", ["x"], ["y"], slope=0.5)], [leaky(0.25)]), [np.where(X < 0, 0.5 * X, X)])
    check(tmp_path, model([call("Leaky", ["x"], ["y"])], [leaky(0.25)]), [np.where(X < 0, 0.25 * X, X)])
    check(tmp_path, model([call("Leaky", ["x"], ["y"])], [leaky()]), [np.where(X < 0, 0.01 * X, X)])  # that of LeakyRelu


def test_attributes_pass_through_nested_functions(tmp_path):
    outer_node = with_reference(call("Leaky", ["p"], ["q"]), "slope", onnx.AttributeProto.FLOAT, "negative")
    outer = function("Outer", ["p"], ["r"], [outer_node, helper.make_node("Neg", ["q"], ["r"])], attributes=["negative"])
    check(tmp_path, model([call("Outer", ["x"], ["y"], negative=0.125)], [outer, leaky(0.25)]), [-np.where(X < 0, 0.125 * X, X)])
    check(tmp_path, model([call("Outer", ["x"], ["y"])], [outer, leaky(0.25)]), [-np.where(X < 0, 0.25 * X, X)])


def test_a_constant_from_a_parameter(tmp_path):
    constant = with_reference(helper.make_node("Constant", [], ["k"]), "value_float", onnx.AttributeProto.FLOAT, "by")
    scale = function("Scale", ["a"], ["b"], [constant, helper.make_node("Mul", ["a", "k"], ["b"])], attributes=["by"])
    check(tmp_path, model([call("Scale", ["x"], ["t"], by=3.0), call("Scale", ["t"], ["y"], by=2.0)], [scale]), [6 * X])


def test_optional_inputs_and_outputs(tmp_path):
    limited = function("Limited", ["a", "low", "high"], ["b", "c"],
                       [helper.make_node("Clip", ["a", "low", "high"], ["b"]), helper.make_node("Neg", ["b"], ["c"])])
    zero = helper.make_node("Constant", [], ["zero"], value_float=0.0)
    check(tmp_path, model([zero, call("Limited", ["x", "zero"], ["y"])], [limited]), [np.maximum(X, 0)])
    check(tmp_path, model([zero, call("Limited", ["x", "", "zero"], ["", "y"])], [limited]), [-np.minimum(X, 0)])
    check(tmp_path, model([call("Limited", ["x"], ["u", "y"])], [limited], outputs=["y", "u"]), [-X, X])


def test_an_output_that_is_an_input(tmp_path):
    both = function("Both", ["a"], ["a", "b"], [helper.make_node("Neg", ["a"], ["b"])])
    check(tmp_path, model([call("Both", ["x"], ["y", "z"])], [both], outputs=["y", "z"]), [X, -X])


def test_a_function_of_another_opset(tmp_path):
    """Squeeze had its axes as an attribute before opset 13."""
    old = function("Old", ["a"], ["b"], [helper.make_node("Unsqueeze", ["a"], ["t"], axes=[0]), helper.make_node("Squeeze", ["t"], ["b"], axes=[0])],
                   opset=11)
    check(tmp_path, model([call("Old", ["x"], ["t"]), helper.make_node("Squeeze", ["t"], ["y"])], [old]), [X])
    too_new = function("New", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], opset=900)
    refuses(tmp_path, model([call("New", ["x"], ["y"])], [too_new]), "opset version", "900")


def test_a_model_that_imports_only_its_own_domain(tmp_path):
    proto = model([call("AddTwice", ["x", "x"], ["y"])], [add_twice()])
    del proto.opset_import[0]
    check(tmp_path, proto, [3 * X])


def test_overloads(tmp_path):
    one = function("F", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], overload="neg")
    two = function("F", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])])
    first, second = call("F", ["x"], ["t"]), call("F", ["t"], ["y"])
    second.overload = "neg"
    check(tmp_path, model([first, second], [one, two]), [-2 * X])
    second.overload = "none"
    refuses(tmp_path, model([first, second], [one, two]), "overload", "none")


def test_many_levels(tmp_path):
    levels = [function("L0", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])])]
    for i in range(1, 300):
        levels.append(function(f"L{i}", ["a"], ["b"], [call(f"L{i - 1}", ["a"], ["t"]), helper.make_node("Neg", ["t"], ["b"])]))
    check(tmp_path, model([call("L299", ["x"], ["y"])], levels[::-1]), [X])


def test_graphs_within_functions(tmp_path):
    """A branch sees the function's values, whatever the caller's are called; its own names clash with none of them."""
    def branch(name, factor):
        nodes = [helper.make_node("Constant", [], ["x"], value_float=factor), helper.make_node("Mul", ["a", "x"], ["y"])]
        return helper.make_graph(nodes, name, [], [helper.make_empty_tensor_value_info("y")])
    test = [helper.make_node("ReduceSum", ["a"], ["s"], keepdims=0), helper.make_node("Constant", [], ["zero"], value_float=0.0),
            helper.make_node("Greater", ["s", "zero"], ["c"]),
            helper.make_node("If", ["c"], ["b"], then_branch=branch("yes", 2.0), else_branch=branch("no", -3.0))]
    scale = function("Scale", ["a"], ["b"], test)
    proto = model([call("Scale", ["x"], ["t"]), call("Scale", ["t"], ["y"])], [scale])
    for x in (np.abs(X), -np.abs(X)):
        first = x * (2 if x.sum() > 0 else -3)
        check(tmp_path, proto, [first * (2 if first.sum() > 0 else -3)], x=x.astype(np.float32))


def test_calls_within_graphs(tmp_path):
    def branch(name, op):
        return helper.make_graph([call(op, ["x"], ["out"])], name, [], [helper.make_empty_tensor_value_info("out")])
    twice = function("Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])])
    negative = function("Negative", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["t"]), call("Twice", ["t"], ["b"])])
    nodes = [helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0), helper.make_node("Constant", [], ["zero"], value_float=0.0),
             helper.make_node("Greater", ["s", "zero"], ["c"]),
             helper.make_node("If", ["c"], ["y"], then_branch=branch("yes", "Twice"), else_branch=branch("no", "Negative"))]
    for x in (np.abs(X), -np.abs(X)):
        check(tmp_path, model(nodes, [twice, negative]), [2 * np.abs(x)], x=x.astype(np.float32))


def test_circles_are_refused(tmp_path):
    a = function("A", ["a"], ["b"], [call("B", ["a"], ["b"])])
    b = function("B", ["a"], ["b"], [call("A", ["a"], ["b"])])
    refuses(tmp_path, model([call("A", ["x"], ["y"])], [a, b]), "circle", "local.A", "local.B")
    itself = function("A", ["a"], ["b"], [call("A", ["a"], ["b"])])
    refuses(tmp_path, model([helper.make_node("Neg", ["x"], ["y"])], [itself]), "circle")


def test_a_graph_of_any_size_is_refused(tmp_path):
    """Forty functions, each calling the one before twice: a million million nodes."""
    levels = [function("L0", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])])]
    for i in range(1, 40):
        levels.append(function(f"L{i}", ["a"], ["b"], [call(f"L{i - 1}", ["a"], ["t"]), call(f"L{i - 1}", ["t"], ["b"])]))
    refuses(tmp_path, model([call("L39", ["x"], ["y"])], levels), "more than is allowed")


def test_calls_that_do_not_fit(tmp_path):
    refuses(tmp_path, model([call("AddTwice", ["x", "x", "x"], ["y"])], [add_twice()]), "more inputs or outputs", "local.AddTwice")
    refuses(tmp_path, model([call("Leaky", ["x"], ["y"], steep=1.0)], [leaky()]), "no such attribute", "steep")
    wrong = function("Wrong", ["a"], ["b"], [helper.make_node("Add", ["a", "elsewhere"], ["b"])])
    refuses(tmp_path, model([call("Wrong", ["x"], ["y"])], [wrong]), "nothing in the function makes", "elsewhere")
    reference = with_reference(helper.make_node("LeakyRelu", ["a"], ["b"]), "alpha", onnx.AttributeProto.FLOAT, "nowhere")
    refuses(tmp_path, model([call("Wrong", ["x"], ["y"])], [function("Wrong", ["a"], ["b"], [reference])]), "does not have", "nowhere")
    refuses(tmp_path, model([call("AddTwice", ["x", "x"], ["y"])], [add_twice(), add_twice()]), "two functions")
    silent = function("Silent", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["t"])])
    refuses(tmp_path, model([call("Silent", ["x"], ["y"])], [silent]), "nothing makes")
    no_opset = add_twice()
    del no_opset.opset_import[:]
    refuses(tmp_path, model([call("AddTwice", ["x", "x"], ["y"])], [no_opset]), "imports no opset")
