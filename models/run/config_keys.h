// One table of configuration keys: what a config file, a flag and the resolved config of a run have in common.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tandem {

struct ConfigKey {
  std::string name;                           // "section.key"
  std::string help;                           // one line, with unit and choices
  std::function<void(std::string_view)> set;  // throws InvalidArgument for a value it cannot take
  std::function<std::string()> get;           // the present value, in the form `set` takes
};

// Builds keys bound to variables, which must outlive them. Lists are written "64,32".
ConfigKey text_key(std::string name, std::string help, std::string& value);
ConfigKey choice_key(std::string name, std::string help, std::string& value, std::vector<std::string> choices);
ConfigKey list_key(std::string name, std::string help, std::vector<std::string>& value);
ConfigKey integer_key(std::string name, std::string help, int64_t& value, int64_t least, int64_t most = INT64_MAX);
ConfigKey integers_key(std::string name, std::string help, std::vector<int64_t>& value, int64_t least);
ConfigKey float_key(std::string name, std::string help, float& value, float least, float most);
ConfigKey flag_key(std::string name, std::string help, bool& value);

// Throws InvalidArgument for an unknown key, with the nearest one.
void set_key(const std::vector<ConfigKey>& keys, std::string_view name, std::string_view value);

// INI: "[section]" lines, "key = value" lines, "#" comments. `source` is named in errors, with the line of a wrong value.
void read_config(const std::vector<ConfigKey>& keys, std::string_view text, std::string_view source);
std::string write_config(const std::vector<ConfigKey>& keys);

}  // namespace tandem
