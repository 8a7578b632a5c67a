// Times whole models: a training step, and inference. Made for bench/peers/compare.py, which runs peers beside it in turns.
//
//   model_bench CASE THREADS SECONDS [--device cuda:0] [--profile] [--on-request]
// CASE: train-mlp (784-256-128-10, batch 128, Adam), train-cnn (MNIST CNN, batch 64, SGD with momentum), infer-1 and infer-64
// (MLP 30-256-256-2). Validates first (the loss falls; probabilities sum to 1), then prints one JSON object: the median, p99, the least and the
// time of processors. --on-request: measures when it is asked to, by the protocol of bench/peers/contestant.py; SECONDS says nothing then.
#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "kernels/base/philox.h"
#include "models/zoo/model_config.h"
#include "runtime/device/device.h"
#include "runtime/exec/profiler.h"
#include "runtime/exec/timing.h"
#include "runtime/passes/pass_manager.h"
#include "runtime/train/trainer.h"

namespace tandem {
namespace {

struct Case {
  ModelConfig model;
  Dims input;
  int64_t batch = 1, classes = 10;
  OptimizerConfig optimizer;
};

Case find_case(const std::string& name) {
  Case c;
  if (name == "train-mlp") {
    c.model.hidden = {256, 128};
    c.input = {"batch", 784};
    c.batch = 128;
  } else if (name == "train-cnn") {
    c.model.kind = "cnn";
    c.model.hidden = {128};
    c.input = {"batch", 1, 28, 28};
    c.batch = 64;
    c.optimizer = {.kind = OptimizerKind::kSgd};
  } else if (name == "infer-1" || name == "infer-64") {
    c.model.hidden = {256, 256};
    c.input = {"batch", 30};
    c.batch = name == "infer-1" ? 1 : 64;
    c.classes = 2;
  } else {
    fail(ErrorCode::kInvalidArgument, "unknown case; known are train-mlp, train-cnn, infer-1, infer-64", {name});
  }
  return c;
}

Network build(const Case& c) {
  nn::NetworkBuilder builder(1);
  const ValueId x = builder.graph().add_input("x", DType::kF32, c.input);
  const ValueId scores = append_model(builder, c.model, x, c.classes);
  builder.network().scores = builder.graph().value(scores).name;
  builder.graph().outputs = {builder.emit("softmax").op("Softmax", {scores}, {{"axis", int64_t{1}}})};
  return std::move(builder.network());
}

Feed random_feed(const Case& c) {
  std::vector<int64_t> sizes{c.batch};
  for (size_t i = 1; i < c.input.size(); ++i) sizes.push_back(c.input[i].size);
  Tensor x(DType::kF32, Shape(sizes)), target(DType::kI64, {c.batch});
  const auto values = x.as<float>();
  for (size_t i = 0; i < values.size(); ++i) values[i] = unit_float(philox(3, i, 0)[0]);
  for (size_t i = 0; i < target.as<int64_t>().size(); ++i) target.as<int64_t>()[i] = static_cast<int64_t>(i) % c.classes;
  return {{"x", x}, {"target", target}};
}

struct Options {
  int threads = 1;
  double seconds = 2;
  std::shared_ptr<Device> device;  // null: the CPU
  Profiler* profiler = nullptr;
  bool on_request = false;
};

std::string json_of(const std::string& name, const Timing& timing) {
  return fmt::format("{{\"case\": \"{}\", \"median_ms\": {:.6f}, \"p99_ms\": {:.6f}, \"min_ms\": {:.6f}, \"processor_ms\": {:.6f}, \"runs\": {}}}",
                     name, timing.median_ms, timing.p99_ms, timing.min_ms, timing.processor_ms, timing.runs);
}

void time_and_print(const std::string& name, const Options& options, const std::function<void()>& run) {
  for (int i = 0; i < 10; ++i) run();
  if (!options.on_request) return fmt::print("{}\n", json_of(name, time_runs(options.seconds, run)));
  std::cout << "{\"ready\": true}" << std::endl;
  for (std::string line; std::getline(std::cin, line);) std::cout << json_of(name, time_runs(std::stod(line), run)) << std::endl;
}

void train(const std::string& name, const Case& c, const Options& options) {
  StepConfig config;
  config.optimizer = c.optimizer;
  config.schedule.learning_rate = c.optimizer.kind == OptimizerKind::kSgd ? 0.01f : 0.001f;
  Trainer trainer(build(c), config, {.micro_batch = c.batch, .threads = options.threads, .profiler = options.profiler, .device = options.device});
  const Feed feed = random_feed(c);
  const auto step = [&] { return trainer.step([&](int64_t) -> const Feed& { return feed; }).loss; };
  const double first = step();
  for (int i = 0; i < 20; ++i) step();
  ensure(step() < first, "the loss did not fall", first);
  time_and_print(name, options, [&] { step(); });
}

void infer(const std::string& name, const Case& c, const Options& options) {
  Graph graph = build(c).graph;
  run_passes(graph);
  const Space target = options.device ? Space::kDevice : Space::kHost;
  Executor executor(make_plan(graph, {.threads = options.threads, .default_bound = c.batch, .target = target}),
                    {.profiler = options.profiler, .device = options.device});
  const Feed feed = random_feed(c);
  const ConstTensorView inputs[] = {feed.at("x").view()};
  const auto p = executor.run(inputs)[0].as<float>();
  ensure(std::abs(p[0] + p[1] - 1) < 1e-5f, "probabilities do not sum to 1");
  time_and_print(name, options, [&] { executor.run(inputs); });
}

}  // namespace
}  // namespace tandem

int main(int argc, char** argv) {
  using namespace tandem;
  if (argc < 4) {
    fmt::print(stderr, "usage: model_bench train-mlp|train-cnn|infer-1|infer-64 THREADS SECONDS [--device cuda:0] [--profile] [--on-request]\n");
    return 2;
  }
  try {
    const std::string name = argv[1];
    Profiler profiler;
    Options options;
    options.threads = std::stoi(argv[2]);
    options.seconds = std::stod(argv[3]);
    for (int i = 4; i < argc; ++i) {
      const std::string argument = argv[i];
      if (argument == "--profile") options.profiler = &profiler;
      if (argument == "--on-request") options.on_request = true;
      if (argument == "--device" && i + 1 < argc) options.device = open_device(argv[++i]);
    }
    (name.starts_with("train") ? train : infer)(name, find_case(name), options);
    if (options.profiler) fmt::print("{}", profiler.summary());
  } catch (const std::exception& error) {
    fmt::print(stderr, "model_bench: {}\n", error.what());
    return 1;
  }
}
