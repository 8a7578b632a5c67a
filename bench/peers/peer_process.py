"""A peer as a contestant (contestant.py): python peer_process.py PEER FILE INPUTS.npz OUTPUT.npz THREADS PRECISION

PEER: onnxruntime or openvino, which read FILE.onnx, torch, for which FILE is the name of a model of peer_models.py, or one of product_peers.py. Each at its best settings for
the precision: f32 means f32 (OpenVINO would take bf16 where the processor has it), bf16 OpenVINO's hint and torch's autocast; int8 leaves to each what it does with the rest of the file.
"""
import json
import sys
import time

import numpy as np

import product_peers


def open_onnxruntime(file, feed, threads, precision):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda: dict(zip(names, session.run(None, feed)))


def open_openvino(file, feed, threads, precision):
    import openvino
    core = openvino.Core()
    model = core.read_model(file)
    model.reshape({name: list(array.shape) for name, array in feed.items()})
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
    if precision != "int8":
        settings["INFERENCE_PRECISION_HINT"] = precision
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    names = [output.get_any_name() for output in model.outputs]
    for name, array in feed.items():
        request.set_tensor(name, openvino.Tensor(array, shared_memory=True))

    def run():
        request.infer()
        return {name: request.get_output_tensor(i).data for i, name in enumerate(names)}
    return run


def run_in_bf16(torch, network, module, arguments):
    """Autocast, frozen where the module can be traced."""
    with torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False):
        try:
            module = torch.jit.freeze(torch.jit.trace(module, arguments))
        except Exception:
            pass

    def run():
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            results = module(*arguments)
        return dict(zip(network.outputs, [r.float().numpy() for r in (results if isinstance(results, tuple) else (results,))]))
    return run


def open_torch(name, feed, threads, precision):
    import torch
    import peer_models
    torch.set_num_threads(threads)
    network = peer_models.NETWORKS[name].make()
    arguments = [torch.from_numpy(feed[name]) for name in network.inputs]
    with torch.inference_mode():
        module = network.module.eval()
        if arguments[0].ndim == 4:
            module, arguments = module.to(memory_format=torch.channels_last), [a.contiguous(memory_format=torch.channels_last) for a in arguments]
        if precision == "bf16":
            return run_in_bf16(torch, network, module, arguments)
        try:
            module = torch.jit.optimize_for_inference(torch.jit.trace(module, arguments))
        except Exception:  # what cannot be traced runs eagerly
            module = network.module

    def run():
        with torch.inference_mode():
            results = module(*arguments)
        return dict(zip(network.outputs, [r.numpy() for r in (results if isinstance(results, tuple) else (results,))]))
    return run


def peak_bytes():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM:"))


def measure(run, seconds):
    times, processor, start = [], time.process_time(), time.perf_counter()
    while time.perf_counter() - start < seconds or len(times) < 5:
        before = time.perf_counter()
        run()
        times.append((time.perf_counter() - before) * 1e3)
    processor = (time.process_time() - processor) * 1e3 / len(times)
    times.sort()
    return {"median_ms": times[len(times) // 2], "p99_ms": times[len(times) * 99 // 100], "min_ms": times[0], "processor_ms": processor,
            "runs": len(times)}


def answer(run, **facts):
    """The protocol of contestant.py, until nobody asks any more."""
    print(json.dumps({"ready": True, "process_bytes": peak_bytes(), **facts}), flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(run, float(line))), flush=True)


def main():
    peer, file, inputs, output, threads, precision = sys.argv[1:]
    feed = dict(np.load(inputs))
    openers = {"onnxruntime": open_onnxruntime, "openvino": open_openvino, "torch": open_torch, "onednn": product_peers.open_onednn,
               "openblas": product_peers.open_openblas}
    run = openers[peer](file, feed, int(threads), precision)
    run()
    results = run()
    np.savez(output, **{name.replace("/", "_"): np.array(value) for name, value in results.items()})
    answer(run)


if __name__ == "__main__":
    main()
