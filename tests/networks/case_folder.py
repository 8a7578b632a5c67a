"""Networks as folders in the layout of ONNX's test cases, kept from run to run: exporting takes longer than running.

The folder is $TANDEM_NETWORK_CACHE, else tandem/networks in the user's cache folder. A case is made anew when the file of its builder, an
exporter or the version of a package it needs changes.
"""
import hashlib
import importlib.metadata
import os
import pathlib
import shutil

import onnx
import onnxruntime
from onnx import numpy_helper

PARTS = ("catalog.py", "case_folder.py", "torch_export.py")


def cache():
    standard = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "tandem/networks"
    return pathlib.Path(os.environ.get("TANDEM_NETWORK_CACHE", standard))


def key_of(network):
    """Of all that the files of the case hang on."""
    digest = hashlib.sha256()
    for package in network.needs:
        digest.update(f"{package}={importlib.metadata.version(package)}\n".encode())
    for file in (*(pathlib.Path(__file__).with_name(part) for part in PARTS), pathlib.Path(network.source)):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def expected_outputs(model, feed):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run(None, feed)


def to_proto(value, name):
    if isinstance(value, list):
        return numpy_helper.from_list(value, name)
    return numpy_helper.from_array(value, name)


def write(folder, built):
    """model.onnx, test_data_set_<n>/{input,output}_<i>.pb."""
    names = [info.name for info in onnx.load_from_string(built.model).graph.input]
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(built.model)
    for n, feed in enumerate(built.feeds):
        data = folder / f"test_data_set_{n}"
        data.mkdir()
        feed = {name: feed[name] for name in names}  # an exporter drops inputs that nothing reads
        for i, name in enumerate(names):
            (data / f"input_{i}.pb").write_bytes(to_proto(feed[name], name).SerializeToString())
        for i, value in enumerate(expected_outputs(built.model, feed)):
            (data / f"output_{i}.pb").write_bytes(to_proto(value, "").SerializeToString())


def case_of(network):
    """The folder of a case, made if it is not there yet."""
    folder = cache() / network.title / key_of(network)
    if (folder / "model.onnx").exists():
        return folder
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
    try:
        write(unfinished, network.build())
        for old in folder.parent.iterdir():
            if not old.suffix:  # that of a process which still writes
                shutil.rmtree(old, ignore_errors=True)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def nodes_of(folder):
    return len(onnx.load(folder / "model.onnx", load_external_data=False).graph.node)
