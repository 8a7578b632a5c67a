#include "runtime/onnx/external_weights.h"

#include <array>

#include "onnx.pb.h"

namespace tandem {
namespace {

constexpr int64_t kPage = 4096, kLarge = 1 << 20, kGranularity = 64 << 10;  // the last: where Windows can map (ONNX docs/ExternalData.md)

}  // namespace

bool ExternalWeights::take(const Tensor& tensor, std::string_view name, tandem_onnx_proto::TensorProto& proto) {
  const auto bytes = static_cast<int64_t>(tensor.bytes());
  if (tensor.dtype() == DType::kString || bits_of(tensor.dtype()) < 8 || bytes < kPage) return false;
  const int64_t step = bytes >= kLarge ? kGranularity : kPage;
  const int64_t offset = (end_ + step - 1) / step * step;
  placed_.push_back({tensor, offset});
  end_ = offset + bytes;

  proto.set_name(std::string(name));
  proto.set_data_type(static_cast<int>(tensor.dtype()));
  for (int64_t dim : tensor.shape().dims()) proto.add_dims(dim);
  proto.set_data_location(tandem_onnx_proto::TensorProto::EXTERNAL);
  const auto add = [&](const char* key, std::string text) {
    auto* entry = proto.add_external_data();
    entry->set_key(key);
    entry->set_value(std::move(text));
  };
  add("location", location_);
  add("offset", std::to_string(offset));
  add("length", std::to_string(bytes));
  return true;
}

std::vector<std::string_view> ExternalWeights::pieces() const {
  static constexpr std::array<char, kGranularity> kZeros = {};
  std::vector<std::string_view> pieces;
  int64_t end = 0;
  for (const Placed& placed : placed_) {
    pieces.emplace_back(kZeros.data(), static_cast<size_t>(placed.offset - end));
    pieces.emplace_back(reinterpret_cast<const char*>(placed.tensor.view().data), placed.tensor.bytes());
    end = placed.offset + static_cast<int64_t>(placed.tensor.bytes());
  }
  return pieces;
}

}  // namespace tandem
