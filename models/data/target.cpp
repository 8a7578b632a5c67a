#include "models/data/target.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <set>

#include "kernels/base/error.h"

namespace tandem {
namespace {

std::string row_name(size_t row) { return "row " + std::to_string(row + 1); }

bool parse_id(std::string_view text, int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

std::vector<std::string> sorted_labels(const std::vector<std::string>& labels) {
  const std::set<std::string> distinct(labels.begin(), labels.end());
  std::vector<std::string> names(distinct.begin(), distinct.end());
  int64_t a = 0, b = 0;
  if (std::all_of(names.begin(), names.end(), [&](const std::string& name) { return parse_id(name, a); }))
    std::sort(names.begin(), names.end(),
              [&](const std::string& x, const std::string& y) { return parse_id(x, a), parse_id(y, b), a < b; });
  return names;
}

// The id of each label text: its place in `names`, or, if those are other words for 0 .. k-1, the number itself.
std::map<std::string, int64_t> class_ids(const std::vector<std::string>& labels, const std::vector<std::string>& names) {
  const std::set<std::string> listed(names.begin(), names.end());
  require(listed.size() == names.size(), "class names repeat");
  const bool by_text =
      std::any_of(labels.begin(), labels.end(), [&](const std::string& label) { return listed.contains(label); });
  std::map<std::string, int64_t> ids;
  for (size_t id = 0; id < names.size(); ++id) ids[by_text ? names[id] : std::to_string(id)] = static_cast<int64_t>(id);
  return ids;
}

}  // namespace

Target class_target(const std::vector<std::string>& labels, const std::vector<std::string>& names) {
  for (size_t row = 0; row < labels.size(); ++row) require(!labels[row].empty(), "label is missing", row_name(row));
  Target target{TargetKind::kClass};
  target.class_names = names.empty() ? sorted_labels(labels) : names;
  require(target.class_names.size() >= 2, "a classifier needs at least two classes; labels found", target.class_names.size());
  const std::map<std::string, int64_t> ids = class_ids(labels, target.class_names);
  for (size_t row = 0; row < labels.size(); ++row) {
    const auto id = ids.find(labels[row]);
    require(id != ids.end(), "label is not one of the classes", row_name(row), labels[row]);
    target.classes.push_back(id->second);
  }
  return target;
}

Target class_target(const std::vector<int64_t>& labels, const std::vector<std::string>& names) {
  std::vector<std::string> texts;
  for (int64_t label : labels) texts.push_back(std::to_string(label));
  return class_target(texts, names);
}

Target value_target(const std::vector<double>& values) {
  Target target{TargetKind::kValue};
  for (size_t row = 0; row < values.size(); ++row) {
    target.values.push_back(static_cast<float>(values[row]));
    require(std::isfinite(target.values.back()), "target is missing or not finite", row_name(row));
  }
  return target;
}

}  // namespace tandem
