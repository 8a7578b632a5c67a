#include "runtime/exec/profiler.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "runtime/io/file.h"
#include "runtime/graph/op_def.h"

namespace tandem {

Profiler::Span Profiler::measure(const Node& node) {
  events_.push_back({std::string(node.def->name), node.name, now(), 0});
  return Span(*this, events_.size() - 1);
}

void Profiler::write_trace(const std::filesystem::path& path) const {
  nlohmann::json events = nlohmann::json::array();
  for (const Event& event : events_)
    events.push_back({{"name", event.op},
                      {"cat", "op"},
                      {"ph", "X"},
                      {"ts", static_cast<double>(event.begin_ns) / 1e3},
                      {"dur", static_cast<double>(event.end_ns - event.begin_ns) / 1e3},
                      {"pid", 1},
                      {"tid", 1},
                      {"args", {{"node", event.name}}}});
  write_file(path, nlohmann::json{{"traceEvents", events}, {"displayTimeUnit", "ns"}}.dump());
}

std::string Profiler::summary() const {
  struct Total {
    int64_t calls = 0, ns = 0;
  };
  std::map<std::string, Total> by_op;
  int64_t all = 0;
  for (const Event& event : events_) {
    Total& total = by_op[event.op];
    ++total.calls;
    total.ns += event.end_ns - event.begin_ns;
    all += event.end_ns - event.begin_ns;
  }
  std::vector<std::pair<std::string, Total>> rows(by_op.begin(), by_op.end());
  std::ranges::sort(rows, std::greater<>{}, [](const auto& row) { return row.second.ns; });
  std::string text = fmt::format("{:<32} {:>8} {:>12} {:>7}\n", "op", "calls", "total us", "share");
  for (const auto& [op, total] : rows)
    text += fmt::format("{:<32} {:>8} {:>12.1f} {:>6.1f}%\n", op, total.calls, static_cast<double>(total.ns) / 1e3,
                        all ? 100.0 * static_cast<double>(total.ns) / static_cast<double>(all) : 0.0);
  return text;
}

}  // namespace tandem
