"""The most activation memory that onnxruntime takes for one run, exactly: run with live_bytes.c preloaded.

    LD_PRELOAD=liblive.so peak_of_onnxruntime.py MODEL FEED.npz

The heap in use is read before a run and at its peak, with the arena off, so that neither its slack nor what it keeps is counted; weights and
inputs are there before. The outputs count, as they do in a plan of Tandem. Two sessions: with onnxruntime's own memory plan (the standard), in
which a run takes one block for all, and without. Prints both as JSON.
"""
import ctypes
import json
import sys

import numpy as np
import onnxruntime

RUNS = 3  # the first makes the plan


def peak(model, feed, pattern):
    heap = ctypes.CDLL(None)
    heap.live_bytes.restype = heap.live_bytes_peak.restype = ctypes.c_long
    options = onnxruntime.SessionOptions()
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = pattern
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    values = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in feed.items()}
    names = [output.name for output in session.get_outputs()]
    taken = []
    for _ in range(RUNS):
        before = heap.live_bytes()
        heap.live_bytes_reset()
        results = session.run_with_ort_values(names, values)
        taken.append(heap.live_bytes_peak() - before)
        del results
    return min(taken)


def main():
    model, feed = sys.argv[1], dict(np.load(sys.argv[2]))
    print(json.dumps({"planned": peak(model, feed, True), "unplanned": peak(model, feed, False)}))


if __name__ == "__main__":
    main()
