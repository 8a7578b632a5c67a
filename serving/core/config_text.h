// Protocol buffers' text format, as Triton's config.pbtxt is written in, taken apart into its values. What the fields mean, and
// whether they exist, is the reader's business.
//
//   optimization { cuda { graph_spec [ { batch_size: 1 }, { batch_size: 8 } ] } }     "optimization.cuda.graph_spec.batch_size":
//   1 and 8
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tandem {

struct ConfigValue {
  enum class Kind { kPlain, kText, kMessage };  // 8, TYPE_FP32 or true; "quoted"; { ... }, which comes before the values in it
  std::string path;                             // names of the fields, from the outermost
  std::string text;                             // escapes in quoted text stay as they are; "" for a message
  Kind kind = Kind::kPlain;
  int line = 0;
};

// In the order of the file. Throws InvalidArgument naming the line.
std::vector<ConfigValue> parse_config_text(std::string_view text);

}  // namespace tandem
