#include "serving/core/batch_sizes.h"

#include <algorithm>
#include <charconv>

#include "kernels/base/error.h"

namespace tandem {
namespace {

constexpr size_t kMostSizes = 64;  // each is kept, with what was captured for it, by every lane

std::optional<int64_t> whole_number(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

std::optional<BatchSizes> declared_batch_sizes(const ServingConfig& config) {
  if (config.cuda_graphs == false) return BatchSizes{{}, "optimization.cuda.graphs", true};
  if (!config.graph_sizes.empty()) return BatchSizes{config.graph_sizes, "optimization.cuda.graph_spec.batch_size", true};
  if (config.batching && !config.batching->preferred_sizes.empty())
    return BatchSizes{config.batching->preferred_sizes, "dynamic_batching.preferred_batch_size", true};
  return std::nullopt;
}

std::optional<BatchSizes> parse_batch_sizes(std::string_view text) {
  if (text == "auto") return std::nullopt;
  BatchSizes declared{{}, "--batch-sizes", false};
  if (text == "none") return declared;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::optional<int64_t> size = whole_number(text.substr(begin, end - begin));
    require(size.has_value(), "--batch-sizes must be 'auto', 'none' or a list such as '1,8,32'", text);
    declared.sizes.push_back(*size);
    begin = end + 1;
  }
  return declared;
}

void check_batch_sizes(const BatchSizes& declared, int64_t most) {
  require(declared.sizes.size() <= kMostSizes, declared.where + " has too many batch sizes (given, most)", declared.sizes.size(),
          kMostSizes);
  for (size_t i = 0; i < declared.sizes.size(); ++i) {
    const int64_t size = declared.sizes[i];
    require(size >= 1, declared.where + " has a batch size that is not positive", size);
    require(size <= most, declared.where + " has a batch size beyond max_batch_size, or the server's --max-batch (given, most)", size, most);
    require(std::find(declared.sizes.begin(), declared.sizes.begin() + static_cast<std::ptrdiff_t>(i), size) ==
                declared.sizes.begin() + static_cast<std::ptrdiff_t>(i),
            declared.where + " has a batch size twice", size);
  }
}

std::vector<int64_t> sizes_to_make_ready(const std::optional<BatchSizes>& declared, const Signature& signature, int64_t planned,
                                         int64_t most) {
  const bool turned_off = declared && declared->sizes.empty();
  if (!signature.batched) {
    require(!declared || !declared->by_model || turned_off || declared->sizes == std::vector<int64_t>{0},
            (declared ? declared->where : "") + " has batch sizes, but the model has no batch dimension");
    return turned_off ? std::vector<int64_t>{} : std::vector<int64_t>{0};
  }
  std::vector<int64_t> sizes;
  if (declared) {
    check_batch_sizes(*declared, most);
    sizes = declared->sizes;
    std::ranges::sort(sizes);
  } else {
    for (int64_t size = 1; size <= std::min(planned, most); size *= 2) sizes.push_back(size);
  }
  return sizes;
}

}  // namespace tandem
