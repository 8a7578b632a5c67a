#include "runtime/train/buckets.h"

#include <algorithm>

#include "kernels/base/checked.h"

namespace tandem {
std::vector<Bucket> assign_buckets(std::span<const ParameterInfo> parameters, int64_t bucket_bytes) {
  require(bucket_bytes > 0, "a bucket needs a size in bytes", bucket_bytes);
  std::vector<Bucket> closed, open(2);
  const auto close = [&](Bucket& bucket) {
    if (!bucket.entries.empty()) closed.push_back(std::move(bucket));
    bucket = {};
  };
  for (size_t i = parameters.size(); i-- > 0;) {
    const bool decays = parameters[i].shape.rank() > 1;
    Bucket& bucket = open[decays];
    bucket.decays = decays;
    bucket.entries.push_back({i, bucket.elements});
    bucket.elements = checked_add(bucket.elements, parameters[i].shape.elements(), "bucket");
    if (bucket.elements * static_cast<int64_t>(sizeof(float)) >= bucket_bytes) close(bucket);
  }
  close(open[1]);
  close(open[0]);
  for (size_t b = 0; b < closed.size(); ++b) closed[b].name = std::to_string(b);
  return closed;
}

}  // namespace tandem
