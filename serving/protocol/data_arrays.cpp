#include "serving/protocol/data_arrays.h"

#include <simdjson.h>

#include <algorithm>

#include "kernels/base/error.h"

namespace tandem {
namespace {

constexpr size_t kNone = std::string_view::npos;
constexpr size_t kBlock = 64, kUsual = 1'024;
constexpr size_t kInRequest = 1, kInInput = 3;  // depths: members of the request, and of one of its inputs

// Behind the text that begins at `at` with a quote; the end where it does not end.
size_t end_of_text(std::string_view json, size_t at) {
  for (++at; at < json.size() && json[at] != '"'; ++at)
    if (json[at] == '\\') ++at;
  return std::min(at + 1, json.size());
}

size_t skip_space(std::string_view json, size_t at) {
  while (at < json.size() && (json[at] == ' ' || json[at] == '\n' || json[at] == '\r' || json[at] == '\t')) ++at;
  return at;
}

// Most of an array is numbers: blocks of them are passed over at once.
size_t skip_numbers(std::string_view json, size_t at) {
  for (; json.size() - at >= kBlock; at += kBlock) {
    const char* const block = json.data() + at;
    unsigned char found = 0;
    for (size_t i = 0; i < kBlock; ++i) found |= static_cast<unsigned char>((block[i] == '[') | (block[i] == ']') | (block[i] == '"'));
    if (found) return at;
  }
  return at;
}

// Behind the bracket that closes the array at `at`, which begins within `levels` others, or kNone.
size_t end_of_array(std::string_view json, size_t at, size_t levels, size_t most_levels) {
  const size_t outside = levels;
  while (at < json.size()) {
    at = skip_numbers(json, at);
    const size_t block_end = std::min(at + kBlock, json.size());
    while (at < block_end) {
      const char c = json[at];
      if (c == '"') {
        at = end_of_text(json, at);
        continue;
      }
      ++at;
      if (c == '[' && ++levels > most_levels)
        fail(ErrorCode::kInvalidArgument, "JSON is nested deeper than " + std::to_string(most_levels) + " levels (the server's --json-depth)");
      if (c == ']' && --levels == outside) return at;
    }
  }
  return kNone;
}

// Whether a member's name, quotes and escapes included, is `name`.
bool is_name(std::string_view text, std::string_view name) {
  if (text.find('\\') == kNone) return text.size() == name.size() + 2 && text.substr(1, name.size()) == name;
  simdjson::dom::parser parser;
  std::string_view plain;
  return parser.parse(text.data(), text.size()).get(plain) == simdjson::SUCCESS && plain == name;
}

class ArrayTaker {
 public:
  ArrayTaker(std::string_view json, size_t depth) : json_(json), most_depth_(depth) {}

  DataArrays take() {
    taken_.envelope.reserve(std::min(json_.size(), kUsual) + simdjson::SIMDJSON_PADDING);  // else it would be copied once more to be parsed
    while (at_ < json_.size()) {
      switch (json_[at_]) {
        case '"': on_text(); continue;
        case '{':
        case '[': ++depth_; break;
        case '}':
        case ']':
          if (depth_ > 0) --depth_;
          if (depth_ <= kInRequest) in_inputs_ = false;
          break;
        default: break;
      }
      ++at_;
    }
    copy_until(json_.size());
    return std::move(taken_);
  }

 private:
  void on_text() {
    const size_t begin = at_;
    at_ = end_of_text(json_, at_);
    const std::string_view text = json_.substr(begin, at_ - begin);
    const bool may_be_data = depth_ == kInInput && in_inputs_, may_be_inputs = depth_ == kInRequest;
    if (!may_be_data && !may_be_inputs) return;
    size_t value = skip_space(json_, at_);
    if (value == json_.size() || json_[value] != ':') return;
    value = skip_space(json_, value + 1);
    if (value == json_.size() || json_[value] != '[') return;
    if (may_be_inputs) in_inputs_ = is_name(text, "inputs");
    else if (is_name(text, "data")) take_array(value);
  }

  void take_array(size_t begin) {
    const size_t end = end_of_array(json_, begin, depth_, most_depth_);
    if (end == kNone) return;  // it does not end: no JSON, which is found where it is parsed
    copy_until(begin);
    taken_.envelope += "[" + std::to_string(taken_.arrays.size()) + "]";
    taken_.arrays.push_back(json_.substr(begin, end - begin));
    at_ = copied_ = end;
  }

  void copy_until(size_t end) {
    taken_.envelope.append(json_.substr(copied_, end - copied_));
    copied_ = end;
  }

  std::string_view json_;
  size_t most_depth_;
  DataArrays taken_;
  size_t at_ = 0, copied_ = 0, depth_ = 0;
  bool in_inputs_ = false;
};

}  // namespace

DataArrays take_data_arrays(std::string_view json, size_t depth) { return ArrayTaker(json, depth).take(); }

}  // namespace tandem
