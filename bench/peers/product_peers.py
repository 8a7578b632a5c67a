"""Libraries of matrix products as peers: files that are nothing but MatMul on constant weights (the rows gemm and gemv).

oneDNN: the package `onednn` of pip, whose CPU engine is a device of its OpenCL; weights in the layout that it asks for.
In bf16 the input is rounded in each run, and lines between products stay bf16.
OpenBLAS: Debian's libopenblas0-pthread; f32, weights as they are, since it keeps none packed.
"""
import ctypes
import ctypes.util
import pathlib
import sys

import numpy as np

ONEDNN = pathlib.Path(sys.prefix) / "lib/libdnnl.so.3"
PRECISIONS = {"onednn": ("f32", "bf16"), "openblas": ("f32",)}


def installed():
    return [name for name, found in (("onednn", ONEDNN.exists()), ("openblas", ctypes.util.find_library("openblas"))) if found]


def environment(peer):
    """What has to be set before the process starts."""
    folder = str(ONEDNN.parent)
    return {"LD_LIBRARY_PATH": folder, "OCL_ICD_FILENAMES": folder + "/libintelocl.so"} if peer == "onednn" else {}


def weights_of(file):
    import onnx
    from onnx import numpy_helper
    graph = onnx.load(file).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type != "MatMul" or node.input[1] not in constants:
            raise ValueError(f"{file}: only MatMul on constant weights can be asked of a library of products, not {node.op_type}")
    return [np.ascontiguousarray(constants[node.input[1]]) for node in graph.node], graph.output[0].name


class OneDnn:
    """What is needed of its C interface (dnnl.h of version 3)."""
    CPU, BF16, F32, ANY = 1, 2, 3, 1
    SOURCE, TARGET, WEIGHTS, WEIGHTS_LAYOUT = 1, 17, 33, 131
    OWN_MEMORY = ctypes.c_void_p(2 ** 64 - 1)

    class Argument(ctypes.Structure):
        _fields_ = [("index", ctypes.c_int), ("memory", ctypes.c_void_p)]

    def __init__(self):
        self.library = ctypes.CDLL(str(ONEDNN))
        self.library.dnnl_primitive_desc_query_md.restype = ctypes.c_void_p
        self.engine = self.made("engine_create", self.CPU, ctypes.c_size_t(0))
        self.stream = self.made("stream_create", self.engine, 1)

    def call(self, name, *arguments):
        status = getattr(self.library, "dnnl_" + name)(*arguments)
        if status:
            raise RuntimeError(f"oneDNN: {name} answered {status}")

    def made(self, name, *arguments):
        handle = ctypes.c_void_p()
        self.call(name, ctypes.byref(handle), *arguments)
        return handle

    def rows(self, shape, dtype=F32):
        return self.made("memory_desc_create_with_strides", 2, (ctypes.c_int64 * 2)(*shape), dtype, (ctypes.c_int64 * 2)(shape[1], 1))

    def memory(self, layout, array=None):
        return self.made("memory_create", layout, self.engine, self.OWN_MEMORY if array is None else ctypes.c_void_p(array.ctypes.data))

    def reorder(self, source, target):
        return self.made("primitive_create", self.made("reorder_primitive_desc_create", source, self.engine, target, self.engine, None))

    def execute(self, primitive, memories):
        arguments = (self.Argument * len(memories))(*[self.Argument(index, memory) for index, memory in memories.items()])
        self.call("primitive_execute", primitive, self.stream, len(memories), arguments)

    def product(self, source, weights, target, dtype):
        """The primitive on these layouts, and the weights in its own."""
        any_layout = self.made("memory_desc_create_with_tag", 2, (ctypes.c_int64 * 2)(*weights.shape), dtype, self.ANY)
        kind = self.made("matmul_primitive_desc_create", self.engine, source, any_layout, None, target, None)
        wanted = ctypes.c_void_p(self.library.dnnl_primitive_desc_query_md(kind, self.WEIGHTS_LAYOUT, 0))
        packed, plain = self.memory(wanted), self.rows(weights.shape)
        self.execute(self.reorder(plain, wanted), {self.SOURCE: self.memory(plain, weights), self.TARGET: packed})
        self.call("stream_wait", self.stream)
        return self.made("primitive_create", kind), packed


def open_onednn(file, feed, threads, precision):
    library, (weights, output) = OneDnn(), weights_of(file)
    (x,) = feed.values()
    dtype = library.BF16 if precision == "bf16" else library.F32
    x, y = np.ascontiguousarray(x), np.empty((len(x), weights[-1].shape[1]), np.float32)
    layouts = [library.rows((len(x), w.shape[0]), dtype) for w in weights] + [library.rows(y.shape)]
    memories = [library.memory(layout) for layout in layouts[:-1]] + [library.memory(layouts[-1], y)]
    plain = library.rows(x.shape)
    given, take = library.memory(plain, x), library.reorder(plain, layouts[0])
    if precision == "f32":
        memories[0] = given
    products = [library.product(source, w, target, dtype) for source, w, target in zip(layouts, weights, layouts[1:])]

    def run():
        if precision == "bf16":
            library.execute(take, {library.SOURCE: given, library.TARGET: memories[0]})
        for (primitive, packed), source, target in zip(products, memories, memories[1:]):
            library.execute(primitive, {library.SOURCE: source, library.WEIGHTS: packed, library.TARGET: target})
        library.call("stream_wait", library.stream)
        return {output: y}
    return run


def open_openblas(file, feed, threads, precision):
    library = ctypes.CDLL(ctypes.util.find_library("openblas"))
    library.openblas_set_num_threads(threads)
    weights, output = weights_of(file)
    (x,) = feed.values()
    lines = [np.ascontiguousarray(x)] + [np.empty((len(x), w.shape[1]), np.float32) for w in weights]
    by_rows, as_it_is, one, zero = 101, 111, ctypes.c_float(1), ctypes.c_float(0)

    def address(array):
        return ctypes.c_void_p(array.ctypes.data)

    def run():
        for w, source, target in zip(weights, lines, lines[1:]):
            k, n = w.shape
            library.cblas_sgemm(by_rows, as_it_is, as_it_is, len(x), n, k, one, address(source), k, address(w), n, zero, address(target), n)
        return {output: lines[-1]}
    return run
