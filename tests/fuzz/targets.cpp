#include "tests/fuzz/targets.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "models/data/npy.h"
#include "runtime/io/file.h"
#include "runtime/model/checksum.h"
#include "runtime/model/compiled_model.h"
#include "runtime/onnx/onnx.h"
#include "runtime/onnx/test_data.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/pass_manager.h"
#include "runtime/plan/plan.h"
#include "tests/fuzz/seeds.h"
#include "tests/fuzz/serving_targets.h"

namespace tandem::fuzz {
namespace {

// Small, so that a claimed size is refused and not merely slow.
constexpr Limits kLimits = {
    .model_bytes = 1 << 20, .tensor_bytes = 1 << 20, .graph_nodes = 10'000, .function_nodes = 10'000, .node_arity = 1'000};
constexpr int64_t kPlanBytes = 16 << 20;

FileDescriptor file_of(std::string_view bytes) {
  FileDescriptor file(::memfd_create("fuzz", MFD_CLOEXEC));
  ensure(file && ::write(file.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()), "no file in memory");
  return file;
}

void load_model(std::string_view bytes) {
  std::string text;
  try {
    text = to_text(parse_onnx(bytes, {}, kLimits));
  } catch (const Error&) {
  }
  const Graph graph = load_onnx(file_of(bytes), {}, kLimits);
  verify(graph);
  ensure(to_text(graph) == text, "a file gives another graph than its bytes");
}

void rewrite_and_plan(std::string_view bytes) {
  Graph graph = parse_onnx(bytes, {}, kLimits);
  run_passes(graph, {.disabled = {}, .verify_each = true});  // Internal, not Error of the input, if a pass breaks the graph
  to_text(graph);
  make_plan(std::move(graph), {.bounds = {}, .default_bound = 2, .memory_limit = kPlanBytes});
}

void read_tensors(std::string_view bytes) {
  for (Container container : {Container::kTensor, Container::kSequence, Container::kOptional, Container::kOptionalSequence}) try {
      parse_onnx_value(bytes, {DType::kF32, {}, container}, kLimits);
    } catch (const Error&) {
    }
}

void read_npy(std::string_view bytes) { parse_npy(bytes, "fuzz", kLimits); }

void load_compiled_model(std::string_view bytes) {
  std::string content(bytes);
  sign_compiled(content);
  for (Weights weights : {Weights::kCopied, Weights::kMapped}) {
    const auto packs = std::make_shared<PackedConstants>();
    Graph graph = load_compiled(file_of(content), "fuzz.tdm", *packs, kLimits, weights).graph;
    to_text(graph);
    make_plan(std::move(graph), {.bounds = {}, .default_bound = 2, .memory_limit = kPlanBytes, .packs = packs});
  }
}

constexpr Target kTargets[] = {
    {"model", load_model, onnx_seeds},
    {"passes", rewrite_and_plan, onnx_seeds},
    {"tensors", read_tensors, tensor_seeds},
    {"npy", read_npy, npy_seeds},
    {"compiled", load_compiled_model, compiled_seeds},
    {"request", read_infer_body, infer_body_seeds},
    {"message", read_infer_message_bytes, infer_message_seeds},
    {"config", read_config, config_seeds},
    {"control", read_control_body, control_body_seeds},
};

}  // namespace

std::span<const Target> targets() { return kTargets; }

}  // namespace tandem::fuzz
