"""What happens to the others of a batch when one fails (A11), and to everybody when models go while queues are full (A15).

TANDEM_BIN names the program (default: build/release/bin/tandem). Run with: pytest tests/interop/test_batch_faults.py
"""
import json
import threading
import time
import urllib.error
import urllib.request

import numpy as np
from onnx import TensorProto, helper
from test_serving import Server, save

CHOICES = np.arange(10, dtype=np.float32).reshape(5, 2)


def answer_of(url, path, body, timeout=30):
    """Status and JSON."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url + path, data=body), timeout=timeout) as answer:
            return answer.status, json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def at_once(calls):
    results = [None] * len(calls)
    def run(i):
        results[i] = calls[i]()
    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def test_a11_one_of_a_batch_fails_alone(tmp_path):
    """A row number that the table does not have is found out only while the batch runs."""
    save(tmp_path / "pick/1/model.onnx", [helper.make_node("Gather", ["table", "row"], ["y"])], [("row", TensorProto.INT64, ["n"])],
         [("y", TensorProto.FLOAT, ["n", 2])], [("table", CHOICES)])
    (tmp_path / "pick/config.pbtxt").write_text("max_batch_size: 16 dynamic_batching { max_queue_delay_microseconds: 100000 }")
    server = Server(tmp_path)
    def pick(row):
        body = {"parameters": {"explain": True}, "inputs": [{"name": "row", "datatype": "INT64", "shape": [1], "data": [row]}]}
        return answer_of(server.url, "/v2/models/pick/infer", json.dumps(body).encode())
    for bad in (99, -7):
        rows = [0, 1, 2, bad, 3, 4]
        for row, (status, answer) in zip(rows, at_once([lambda row=row: pick(row) for row in rows])):  # those of a batch that failed run again, alone
            if row == bad:
                assert status == 400 and str(bad) in answer["error"], answer
                continue
            assert status == 200 and answer["outputs"][0]["data"] == CHOICES[row].tolist(), (row, answer)
    assert max(answer["parameters"]["batch_size"] for _, answer in at_once([lambda row=row: pick(row) for row in range(5)])) > 1  # they do share batches
    assert server.metric("tandem_inference_in_flight", model="pick") == 0
    assert server.stop() == 0


def test_a15_models_that_go_while_their_queues_are_full(tmp_path):
    """Every request is answered exactly once: with its rows, or with why not."""
    for name in ("a", "b"):
        weights = [("w", np.full((256, 256), 1 / 256, np.float32))]
        nodes = [helper.make_node("MatMul", [f"h{i}" if i else "x", "w"], [f"h{i + 1}" if i < 29 else "y"]) for i in range(30)]
        save(tmp_path / f"{name}/1/model.onnx", nodes, [("x", TensorProto.FLOAT, ["n", 256])], [("y", TensorProto.FLOAT, ["n", 256])], weights)
        (tmp_path / f"{name}/config.pbtxt").write_text(
            "max_batch_size: 8 dynamic_batching { max_queue_delay_microseconds: 2000 default_queue_policy { max_queue_size: 4 } }")
    server = Server(tmp_path, "--model-control", "explicit", "--load-model", "*")
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 256], "data": [1] * 256}]}).encode()
    ended, seen, wrong = threading.Event(), {}, []

    def ask(name):
        while not ended.is_set():
            status, answer = answer_of(server.url, f"/v2/models/{name}/infer", body)
            seen[status] = seen.get(status, 0) + 1
            if status == 200 and not np.allclose(answer["outputs"][0]["data"], 1):
                wrong.append(answer)
            if status not in (200, 404, 429, 503) and not (status == 400 and "ready" in answer["error"]):
                wrong.append((status, answer))

    threads = [threading.Thread(target=ask, args=(name,)) for name in "ab" for _ in range(12)]
    for thread in threads:
        thread.start()
    end, cycles = time.monotonic() + 6, 0
    while time.monotonic() < end or (time.monotonic() < end + 60 and (cycles <= 5 or seen.get(200, 0) <= 100)):
        for name in "ab":
            for verb in ("unload", "load"):
                status, answer = answer_of(server.url, f"/v2/repository/models/{name}/{verb}", b"{}")
                if status != 200:
                    wrong.append((verb, status, answer))
                time.sleep(0.01)
        cycles += 1
    ended.set()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads) and wrong[:3] == []
    assert cycles > 5 and seen[200] > 100 and len(seen) > 1, (cycles, seen)
    for name in "ab":
        assert not server.metric("tandem_inference_in_flight", model=name)
    assert server.stop() == 0
