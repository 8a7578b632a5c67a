#include "serving/engine/weight_pool.h"

#include <utility>

#include "runtime/passes/content_hash.h"

namespace tandem {
namespace {

constexpr size_t kLeastShared = 4096;  // bytes; smaller ones are not worth looking for

Tensor handle_on(const std::shared_ptr<Tensor>& tensor) {
  return Tensor::over(std::shared_ptr<std::byte[]>(tensor, tensor->view().data), tensor->dtype(), tensor->shape());
}

}  // namespace

void WeightPool::share(Graph& graph) {
  const std::lock_guard lock(mutex_);
  std::erase_if(tensors_, [](const auto& entry) { return entry.second.expired(); });
  for (Value& value : graph.values) {
    Tensor& data = value.data;
    if (value.kind != ValueKind::kConstant || !data || data.dtype() == DType::kString || data.bytes() < kLeastShared) continue;
    const uint64_t hash = content_hash(data);
    std::shared_ptr<Tensor> same;
    for (auto [at, end] = tensors_.equal_range(hash); at != end && !same; ++at)
      if (const auto other = at->second.lock(); other && identical(*other, data)) same = other;
    if (!same) {
      same = std::make_shared<Tensor>(std::move(data));
      tensors_.emplace(hash, same);
    }
    data = handle_on(same);
  }
}

std::shared_ptr<PackedConstants> WeightPool::packs(const std::string& content) {
  const std::lock_guard lock(mutex_);
  std::erase_if(packs_, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<PackedConstants>& known = packs_[content];
  std::shared_ptr<PackedConstants> packs = known.lock();
  if (!packs) known = packs = std::make_shared<PackedConstants>(panels_);
  return packs;
}

}  // namespace tandem
