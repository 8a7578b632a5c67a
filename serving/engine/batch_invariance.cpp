#include "serving/engine/batch_invariance.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <random>
#include <span>
#include <vector>

#include "kernels/base/error.h"
#include "serving/engine/batch_tensors.h"

namespace tandem {
namespace {

constexpr int64_t kOpenSize = 8;  // of a dimension that requests choose
constexpr std::array<int64_t, 8> kRows = {2, 3, 5, 8, 13, 16, 33, 64};  // of the batches that are tried, as far as they are allowed

// One row of an input: numbers between -1 and 1, whole ones 0 or 1 (any index is one), short texts.
void fill_row(Tensor& tensor, int64_t row, int64_t rows, uint32_t seed) {
  std::mt19937 random(seed);
  const auto each = static_cast<size_t>(rows > 0 ? tensor.shape().elements() / rows : 0), first = static_cast<size_t>(row) * each;
  const auto fill = [&]<class T>(std::span<T> values, auto make) {
    for (T& value : values.subspan(first, each)) value = static_cast<T>(make());
  };
  const auto number = [&] { return static_cast<double>(random() >> 8) / (1 << 23) - 1; };
  const auto fill_words = [&](uint32_t bits, uint32_t open) {
    for (size_t i = first; i < first + each; ++i) {
      const auto word = static_cast<uint16_t>(bits | (random() & open));
      std::memcpy(tensor.view().data + i * sizeof word, &word, sizeof word);
    }
  };
  switch (tensor.dtype()) {
    case DType::kF32: return fill(tensor.as<float>(), number);
    case DType::kF64: return fill(tensor.as<double>(), number);
    case DType::kI64: return fill(tensor.as<int64_t>(), [&] { return random() & 1; });
    case DType::kI32: return fill(tensor.as<int32_t>(), [&] { return random() & 1; });
    case DType::kBool: return fill(tensor.as<bool>(), [&] { return random() & 1; });
    case DType::kU8: return fill(tensor.as<uint8_t>(), [&] { return random() & 255; });
    case DType::kI8: return fill(tensor.as<int8_t>(), [&] { return random() & 255; });
    case DType::kF16: return fill_words(0x3800, 0x83ff);  // between 0.5 and 1, of either sign
    case DType::kBF16: return fill_words(0x3f00, 0x807f);
    default: return;  // zeros, and empty texts
  }
}

// The rows of these numbers, one after the other.
std::vector<Tensor> inputs_of(const Signature& signature, std::span<const int64_t> rows) {
  std::vector<Tensor> inputs;
  const auto count = static_cast<int64_t>(rows.size());
  for (const TensorSpec& spec : signature.inputs) {
    std::vector<int64_t> sizes;
    for (const Dim& dim : spec.dims) sizes.push_back(dim.known() ? dim.size : dim.symbol == signature.batch_symbol ? count : kOpenSize);
    Tensor& tensor = inputs.emplace_back(spec.dtype, Shape(std::span<const int64_t>(sizes)));
    for (int64_t i = 0; i < count; ++i)
      fill_row(tensor, i, count, static_cast<uint32_t>(rows[static_cast<size_t>(i)] * 64 + static_cast<int64_t>(inputs.size())));
  }
  return inputs;
}

// What a row is made of, texts with their lengths.
std::string bytes_of(ConstTensorView row) {
  if (row.dtype != DType::kString) return {reinterpret_cast<const char*>(row.data), row.bytes()};
  std::string bytes;
  for (const std::string_view text : row.as<std::string_view>()) bytes += std::to_string(text.size()) + ":" + std::string(text);
  return bytes;
}

class Trial {
 public:
  explicit Trial(Model& model) : model_(model), signature_(model.signature()) {}

  std::optional<std::string> run(int64_t count) {
    std::vector<int64_t> rows;
    for (int64_t i = count; i-- > 0;) rows.push_back(i);  // the first row is the last of each batch
    for (const int64_t place : {int64_t{0}, int64_t{1}, count / 2, count - 1}) alone(rows[static_cast<size_t>(place)]);
    const std::vector<Tensor> inputs = inputs_of(signature_, rows);
    const std::span<const ConstTensorView> outputs = model_.run(0, views_of(inputs));
    for (size_t i = 0; i < outputs.size(); ++i) {
      const std::string output = "output '" + signature_.outputs[i].name + "' ";
      if (outputs[i].shape.rank() == 0 || outputs[i].shape[0] != count) return output + "has other rows than its batch";
      for (const auto& [row, values] : alone_)
        if (row < count && bytes_of(rows_of(outputs[i], count - 1 - row, 1)) != values[i])
          return output + "is another for row " + std::to_string(count - 1 - row) + " in a batch of " + std::to_string(count);
    }
    return std::nullopt;
  }

 private:
  static std::vector<ConstTensorView> views_of(const std::vector<Tensor>& tensors) {
    std::vector<ConstTensorView> views;
    for (const Tensor& tensor : tensors) views.push_back(tensor.view());
    return views;
  }
  void alone(int64_t row) {
    if (alone_.contains(row)) return;
    const std::vector<Tensor> inputs = inputs_of(signature_, std::array{row});
    std::vector<std::string>& outputs = alone_[row];
    for (const ConstTensorView& output : model_.run(0, views_of(inputs))) outputs.push_back(bytes_of(output));
  }

  Model& model_;
  const Signature& signature_;
  std::map<int64_t, std::vector<std::string>> alone_;  // by row, what it gave by itself
};

bool is_wanted(const Model& model, bool by_server) {
  const ServingConfig config = model.config();
  const auto own = config.parameters.find("batch_invariant");
  if (own == config.parameters.end()) return by_server;
  require(own->second == "true" || own->second == "false", "parameter 'batch_invariant' must be true or false", own->second);
  return own->second == "true";
}

}  // namespace

std::optional<std::string> why_rows_stay_alone(Model& model, int64_t most) {
  Trial trial(model);
  try {
    for (const int64_t count : kRows)
      if (count <= most)
        if (auto why = trial.run(count)) return why;
  } catch (const Error& error) {
    return std::string("it could not be tried: ") + error.what();
  }
  return std::nullopt;
}

std::string keep_bits(Model& model, bool by_server, BatchingOptions& batching) {
  if (batching.max_batch_size <= 1 || !is_wanted(model, by_server)) return "";
  const auto why = why_rows_stay_alone(model, batching.max_batch_size);
  if (!why) return "";
  batching.max_batch_size = 1;
  batching.preferred_sizes.clear();
  batching.max_delay = {};
  const std::string reason = "requests run alone, as --batch-invariant wants it: " + *why;
  if (model.options().device.log)
    model.options().device.log("model '" + model.name() + "', version " + std::to_string(model.version()) + ": " + reason);
  return reason;
}

}  // namespace tandem
