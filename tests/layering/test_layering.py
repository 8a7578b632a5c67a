"""Who may include whom, read from the sources: kernels <- runtime <- models <- serving <- cli, and the order within each of them.

Within runtime, models and serving a folder may use itself and those that stand above it in that layer's CMakeLists.txt. kernels/base uses
the standard library only, kernels/api uses base; cpu and cuda never use each other. The CUDA language (gpu.h, launch.h, .cuh) stays in
kernels/cuda. Nothing uses tests or bench, but for the language's stand-in without nvcc. A public header, one read outside its own folder,
includes nothing but our own headers, the C++ standard library and the system's.
"""
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAYERS = ["kernels", "runtime", "models", "serving", "cli"]
SYSTEM = re.compile(r"[a-z_]+|(unistd|fcntl|signal|time|poll|sched|stdint|stdlib|pthread)\.h|(sys|linux|net|netinet|arpa)/\w+\.h")
# Read in their own folder only: pieces of one implementation.
PRIVATE = re.compile(r".*-inl\.h|cli/.*|kernels/cuda/device/gpu\.h")
CUDA_LANGUAGE = re.compile(r"kernels/cuda/(.*\.cuh|device/(gpu|launch)\.h)")


def folders_in_order(layer, cmake=None):
    """The folders of a layer as its CMakeLists.txt adds them."""
    text = cmake if cmake is not None else (ROOT / layer / "CMakeLists.txt").read_text()
    return re.findall(r"^add_subdirectory\((\w+)\)", text, re.MULTILINE)


ORDER = {layer: folders_in_order(layer) for layer in ("runtime", "models", "serving")}
KERNELS = {"base": {"base"}, "api": {"base", "api"}, "cpu": {"base", "api", "cpu"}, "cuda": {"base", "api", "cuda"}}


def may_include(path, included, order=None):
    """Whether the file at `path` may include `included`, both relative to the root."""
    if included == "cuda_emulator.h":
        return path == "kernels/cuda/device/gpu.h"
    if CUDA_LANGUAGE.fullmatch(included) and not path.startswith("kernels/cuda/"):
        return False
    order = order or ORDER
    (layer, folder), (other, other_folder) = path.split("/")[:2], included.split("/")[:2]
    if other not in LAYERS:
        return False
    if layer != other:
        return LAYERS.index(other) < LAYERS.index(layer)
    if layer == "kernels":
        return other_folder in KERNELS[folder]
    if layer in order:
        return order[layer].index(other_folder) <= order[layer].index(folder)
    return True


def includes(text):
    """Our own and the foreign includes of a source: those in quotes, those in angles."""
    return (re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, re.MULTILINE),
            re.findall(r"^\s*#\s*include\s+<([^>]+)>", text, re.MULTILINE))


def violations(path, text):
    own, foreign = includes(text)
    found = [f"{path} may not include {name}" for name in own if not name.endswith(".pb.h") and not may_include(path, name)]
    if path.endswith(".h") and not PRIVATE.fullmatch(path):
        found += [f"{path} is a public header and may not include <{name}>" for name in foreign if not SYSTEM.fullmatch(name)]
    return found


def sources():
    for layer in LAYERS:
        for path in sorted((ROOT / layer).rglob("*")):
            if path.suffix in (".h", ".cpp", ".cu", ".cuh"):
                yield path.relative_to(ROOT).as_posix(), path.read_text()


def test_every_folder_has_its_place():
    for layer, order in ORDER.items():
        holding_code = {path.parent.name for path in (ROOT / layer).glob("*/*.cpp")}
        assert holding_code <= set(order), f"{layer}/CMakeLists.txt adds a folder for each of these"


def test_nobody_includes_what_its_layer_may_not():
    files = list(sources())
    assert len(files) > 300
    assert [v for path, text in files for v in violations(path, text)] == []


@pytest.mark.parametrize(
    "path, text",
    [
        ("kernels/cpu/softmax.cpp", '#include "runtime/graph/graph.h"'),
        ("kernels/cpu/softmax.cpp", '#include "kernels/cuda/softmax.h"'),
        ("kernels/cuda/softmax.cu", '#include "kernels/cpu/simd/row.h"'),
        ("kernels/cuda/softmax.cu", '#include "cuda_emulator.h"'),
        ("runtime/ops/softmax.cpp", '#include "kernels/cuda/device/launch.h"'),
        ("runtime/device/cuda_stream.cpp", '#include "kernels/cuda/device/number.cuh"'),
        ("runtime/device/cuda_stream.h", "#include <cuda_runtime_api.h>"),
        ("kernels/cuda/library/library.h", "#include <cublasLt.h>"),
        ("kernels/api/softmax.h", '#include "kernels/cpu/simd/row.h"'),
        ("kernels/base/error.h", '#include "kernels/api/isa.h"'),
        ("runtime/graph/graph.cpp", '#include "runtime/ops/all_ops.h"'),
        ("runtime/plan/plan.cpp", '#include "runtime/exec/executor.h"'),
        ("runtime/exec/executor.cpp", '  #  include "models/run/fit.h"'),
        ("models/nn/layers.cpp", '#include "models/zoo/zoo.h"'),
        ("models/run/fit.cpp", '#include "serving/core/model.h"'),
        ("serving/core/model.cpp", '#include "serving/http/route.h"'),
        ("serving/core/model.cpp", '#include "cli/command.h"'),
        ("cli/train.cpp", '#include "tests/support/source_dir.h"'),
        ("cli/train.cpp", '#include "bench/models/model_bench.h"'),
        ("runtime/onnx/onnx.h", "#include <google/protobuf/message.h>"),
        ("runtime/device/lane.h", "#include <hwloc.h>"),
        ("serving/protocol/tensor_json.h", "#include <nlohmann/json_fwd.hpp>"),
        ("serving/monitor/server_metrics.h", "#include <prometheus/registry.h>"),
        ("kernels/api/gemm.h", "#include <omp.h>"),
        ("kernels/api/gemm.h", "#include <immintrin.h>"),
    ],
)
def test_the_rule_sees(path, text):
    """Each of these is wrong, and found: the test above can fail."""
    assert len(violations(path, text)) == 1


@pytest.mark.parametrize(
    "path, text",
    [
        ("kernels/cpu/softmax.cpp", '#include "kernels/cpu/simd/row.h"\n#include <omp.h>'),
        ("kernels/cpu/simd/part-inl.h", "#include <hwy/highway.h>"),
        ("kernels/cuda/device/gpu.h", '#include <cuda_runtime.h>\n#include "cuda_emulator.h"'),
        ("kernels/cuda/softmax.cu", '#include "kernels/cuda/device/grid.cuh"'),
        ("runtime/device/cuda_stream.cpp", '#include <cuda_runtime_api.h>\n#include "kernels/cuda/device/session.h"'),
        ("runtime/plan/plan.h", '#include "runtime/graph/graph.h"\n#include <vector>\n#include <sys/types.h>'),
        ("serving/http/session-inl.h", "#include <boost/asio/post.hpp>"),
        ("cli/options.h", '#include "models/run/run_config.h"\n#include <boost/program_options.hpp>'),
    ],
)
def test_the_rule_lets_pass(path, text):
    assert violations(path, text) == []
