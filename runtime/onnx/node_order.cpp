#include "runtime/onnx/node_order.h"

#include <algorithm>
#include <functional>
#include <queue>

namespace tandem {

std::vector<int> topological_order(const std::vector<std::vector<int>>& producers) {
  const size_t count = producers.size();
  std::vector<std::vector<int>> readers(count);
  std::vector<size_t> missing(count);
  std::priority_queue<int, std::vector<int>, std::greater<>> ready;
  for (size_t n = 0; n < count; ++n) {
    missing[n] = producers[n].size();
    for (int p : producers[n]) readers[static_cast<size_t>(p)].push_back(static_cast<int>(n));
    if (producers[n].empty()) ready.push(static_cast<int>(n));
  }
  std::vector<int> order;
  order.reserve(count);
  while (!ready.empty()) {
    const int next = ready.top();
    ready.pop();
    order.push_back(next);
    for (int reader : readers[static_cast<size_t>(next)])
      if (--missing[static_cast<size_t>(reader)] == 0) ready.push(reader);
  }
  return order;
}

std::vector<int> find_cycle(const std::vector<std::vector<int>>& producers, std::span<const int> order) {
  std::vector<bool> placed(producers.size());
  for (int n : order) placed[static_cast<size_t>(n)] = true;
  // Each node left out reads another one left out: walking backwards must come round.
  std::vector<int> path;
  std::vector<int> position(producers.size(), -1);
  int at = static_cast<int>(std::ranges::find(placed, false) - placed.begin());
  while (position[static_cast<size_t>(at)] < 0) {
    position[static_cast<size_t>(at)] = static_cast<int>(path.size());
    path.push_back(at);
    at = *std::ranges::find_if(producers[static_cast<size_t>(at)], [&](int p) { return !placed[static_cast<size_t>(p)]; });
  }
  path.erase(path.begin(), path.begin() + position[static_cast<size_t>(at)]);
  std::ranges::reverse(path);
  return path;
}

}  // namespace tandem
