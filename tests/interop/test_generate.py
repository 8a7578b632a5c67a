"""The generate extension: plain JSON objects in place of tensors, and server-sent events."""
import json

import numpy as np
import pytest
from test_serving import Server, mlp, save, save_mlp

from onnx import TensorProto, helper

F32, I64, STR = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("repository")
    save_mlp(root / "mlp/1/model.onnx", 1)
    save(root / "echo/1/model.onnx", [helper.make_node("Identity", ["text"], ["same"])], [("text", STR, ["batch", 1])], [("same", STR, ["batch", 1])])
    save(root / "named/1/model.onnx", [helper.make_node("Identity", ["text_input"], ["text_output"])], [("text_input", STR, ["n"])], [("text_output", STR, ["n"])])
    save(root / "add/1/model.onnx", [helper.make_node("Add", ["a", "b"], ["sum"])], [("a", I64, ["n"]), ("b", I64, ["n"])], [("sum", I64, ["n"])])
    server = Server(root)
    yield server
    assert server.stop() == 0


def generate(server, model, body, form="generate"):
    return server.post(f"/v2/models/{model}/{form}", json.dumps(body).encode())


def test_text(server):
    status, answer = generate(server, "named", {"text_input": "zw\u00f6lf", "id": "7", "parameters": {"max_tokens": 3}})
    assert status == 200 and json.loads(answer) == {"id": "7", "model_name": "named", "model_version": "1", "text_output": "zw\u00f6lf"}


def test_one_in_one_out_has_general_names(server):
    for body in ({"text_input": "a"}, {"text": "a"}):
        status, answer = generate(server, "echo", body)
        assert status == 200 and json.loads(answer) == {"model_name": "echo", "model_version": "1", "same": "a", "text_output": "a"}
    status, answer = generate(server, "echo", {"text": ["a", "b"]})
    assert status == 200 and json.loads(answer)["same"] == ["a", "b"]


def test_numbers(server):
    x = [0.5, -1.0, 2.0, 0.25]
    status, answer = generate(server, "mlp", {"x": x})
    assert status == 200
    np.testing.assert_allclose(json.loads(answer)["y"], mlp(np.array([x], np.float32), 1)[0], rtol=1e-4, atol=1e-5)
    assert json.loads(generate(server, "mlp", {"x": [x, x]})[1])["y"][:3] == json.loads(answer)["y"]
    assert json.loads(generate(server, "add", {"a": 3, "b": 4})[1])["sum"] == 7
    assert json.loads(generate(server, "add", {"a": [3, 1], "b": [4, 1]})[1])["sum"] == [7, 2]


def test_stream_of_one_event(server):
    status, answer = generate(server, "named", {"text_input": "a"}, "generate_stream")
    assert status == 200 and answer.startswith("data: ") and answer.endswith("\n\n")
    assert json.loads(answer.removeprefix("data: "))["text_output"] == "a"


@pytest.mark.parametrize("model, body, text", [
    ("named", b"", "expected an object"), ("named", b"[1]", "expected an object"), ("named", b"{", "expected an object"),
    ("named", b"{}", "wants a member 'text_input'"), ("echo", b"{}", "'text' or 'text_input'"), ("named", b'{"text_input": 3}', "not a string"),
    ("named", b'{"text_input": {"a": 1}}', "not a string"), ("add", b'{"a": 1}', "wants a member 'b'"), ("add", b'{"a": 1.5, "b": 1}', "not an integer"),
    ("add", b'{"a": [1, 2], "b": 1}', "unexpected shape"), ("mlp", b'{"x": [1, 2]}', "unexpected shape"), ("mlp", b'{"x": [[1, 2, 3, 4], [1]]}', "data"),
    ("named", b'{"text_input": ' + b"[" * 90 + b"]" * 90 + b"}", ""), ("named", b'{"text_input": "a", "id": 3}', "'id' must be a string"),
    ("none", b"{}", "unknown model")])
def test_faults(server, model, body, text):
    for form in ("generate", "generate_stream"):
        status, answer = server.post(f"/v2/models/{model}/{form}", body)
        assert status == (404 if model == "none" else 400) and text in json.loads(answer)["error"], answer
