#include "serving/engine/warm_up.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <future>
#include <random>
#include <span>
#include <vector>

#include "kernels/base/error.h"
#include "runtime/io/file.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;

// Texts as in the binary tensor extension: a 32-bit length and the bytes each.
Tensor texts_of(std::string_view bytes, const Shape& shape) {
  std::vector<std::string_view> texts;
  while (!bytes.empty()) {
    uint32_t length = 0;
    require(bytes.size() >= sizeof length, "a file of texts ends within a length");
    std::memcpy(&length, bytes.data(), sizeof length);
    bytes.remove_prefix(sizeof length);
    require(length <= bytes.size(), "a file of texts ends within a text");
    texts.push_back(bytes.substr(0, length));
    bytes.remove_prefix(length);
  }
  require(static_cast<int64_t>(texts.size()) == shape.elements(), "a file has another number of texts than the shape", texts.size(),
          to_string(shape));
  return Tensor::strings(shape, std::span<const std::string_view>(texts));
}

Tensor tensor_of_file(const fs::path& folder, const std::string& file, DType dtype, const Shape& shape, const Limits& limits) {
  const std::string bytes = read_file_beneath(folder / "warmup", file, limits.request_bytes);
  if (dtype == DType::kString) return texts_of(bytes, shape);
  Tensor tensor(dtype, shape);
  require(tensor.bytes() == bytes.size(), "a file has another number of bytes than the shape", file, bytes.size(), tensor.bytes());
  if (!bytes.empty()) std::memcpy(tensor.view().data, bytes.data(), bytes.size());
  return tensor;
}

void fill_randomly(Tensor& tensor) {
  std::mt19937 random(1);
  const auto fill = [&]<class T>() {
    for (T& value : tensor.as<T>()) value = static_cast<T>(static_cast<double>(random() >> 8) / (1 << 24));
  };
  if (tensor.dtype() == DType::kF32) fill.operator()<float>();
  if (tensor.dtype() == DType::kF64) fill.operator()<double>();  // whole numbers between 0 and 1 are zeros: any index is one
}

Tensor input_of(const Warmup& warmup, const TensorSpec& spec, bool batched, const fs::path& folder, const Limits& limits) {
  const auto found = warmup.inputs.find(spec.name);
  require(found != warmup.inputs.end(), "it has no input '" + spec.name + "'");
  const WarmupInput& input = found->second;
  require(input.dtype == DType::kUndefined || input.dtype == spec.dtype, "input '" + spec.name + "' has another data_type than the model",
          name(input.dtype), name(spec.dtype));
  std::vector<int64_t> dims = input.dims;
  if (batched && warmup.batch_size > 0) dims.insert(dims.begin(), warmup.batch_size);
  require(dims.size() == spec.dims.size(), "input '" + spec.name + "' has another number of dimensions than the model", dims.size(),
          spec.dims.size());
  for (size_t axis = 0; axis < dims.size(); ++axis)
    require(dims[axis] >= 0 && (!spec.dims[axis].known() || spec.dims[axis].size == dims[axis]),
            "input '" + spec.name + "' has another size than the model in dimension", axis, dims[axis]);
  const Shape shape{std::span<const int64_t>(dims)};
  if (input.data == WarmupInput::Data::kFile) return tensor_of_file(folder, input.file, spec.dtype, shape, limits);
  Tensor tensor(spec.dtype, shape);
  if (input.data == WarmupInput::Data::kRandom) fill_randomly(tensor);
  return tensor;
}

void run_sample(Model& model, const Warmup& warmup, const fs::path& folder, const Limits& limits) {
  std::vector<Tensor> inputs;
  std::vector<ConstTensorView> views;
  for (const TensorSpec& spec : model.signature().inputs)
    inputs.push_back(input_of(warmup, spec, model.signature().batched, folder, limits));
  for (const Tensor& input : inputs) views.push_back(input.view());
  for (int lane = 0; lane < model.options().lanes; ++lane)
    for (int64_t i = 0; i < std::max<int64_t>(1, warmup.count); ++i) model.run(lane, views);
}

constexpr std::chrono::milliseconds kWarmUpTime{20};  // of a lane, for sizes that nobody named

struct Sizes {
  std::vector<int64_t> rows;  // in the order in which they are run
  bool are_declared = false;
};

// Declared ones from the largest on, for which the plan grows once.
Sizes sizes_of(const Model& model) {
  const ModelOptions& options = model.options();
  Sizes sizes{sizes_to_make_ready(options.batch_sizes, model.signature(), std::min(options.batch, options.max_batch), options.max_batch),
              options.batch_sizes.has_value()};
  if (sizes.are_declared) std::ranges::reverse(sizes.rows);
  return sizes;
}

void run_sizes(Model& model, int lane, const Sizes& sizes) {
  const auto end = std::chrono::steady_clock::now() + kWarmUpTime;
  try {
    for (const int64_t rows : sizes.rows) {
      if (!sizes.are_declared && rows > 1 && std::chrono::steady_clock::now() > end) return;
      const std::vector<Tensor> inputs = example_inputs(model.signature(), rows);
      std::vector<ConstTensorView> views;
      for (const Tensor& input : inputs) views.push_back(input.view());
      model.run(lane, views);
    }
  } catch (const DoesNotFit&) {
    if (sizes.are_declared) throw;
  } catch (const Error&) {  // an op that refuses zeros
  }
}

}  // namespace

Lane* WarmUpThreads::of_lane(int lane) {
  const std::lock_guard lock(mutex_);
  const auto index = static_cast<size_t>(lane);
  if (lanes_.size() <= index) lanes_.resize(index + 1);
  if (!lanes_[index]) try {
      lanes_[index] = std::make_unique<Lane>(LaneOptions{.name = "warm-up " + std::to_string(lane)});
    } catch (const Error&) {
      return nullptr;
    }
  return lanes_[index].get();
}

void warm_up_batch_sizes(Model& model, WarmUpThreads& threads) {
  if (model.device().on_device || open_dimension(model.signature())) return;
  const Sizes sizes = sizes_of(model);
  if (sizes.rows.empty()) return;
  const auto failure_of = [&](int lane) -> std::exception_ptr {
    try {
      run_sizes(model, lane, sizes);
      return nullptr;
    } catch (...) {
      return std::current_exception();
    }
  };
  std::vector<std::future<std::exception_ptr>> lanes;
  std::exception_ptr failure;  // the first: all lanes end before it is thrown, for they use the model
  try {
    lanes.reserve(static_cast<size_t>(model.options().lanes));
    for (int lane = 1; lane < model.options().lanes; ++lane)
      if (Lane* thread = threads.of_lane(lane)) lanes.push_back(thread->call([&failure_of, lane] { return failure_of(lane); }));
    failure = failure_of(0);
  } catch (...) {
    failure = std::current_exception();
  }
  for (std::future<std::exception_ptr>& lane : lanes)
    if (const std::exception_ptr other = lane.get(); !failure) failure = other;
  if (failure) std::rethrow_exception(failure);
}

void warm_up(Model& model, const fs::path& folder, const Limits& limits) {
  for (const Warmup& warmup : model.config().warmups) try {
      run_sample(model, warmup, folder, limits);
    } catch (const Error& error) {
      throw Error(error.code(), "model_warmup '" + warmup.name + "': " + error.what());
    }
}

}  // namespace tandem
