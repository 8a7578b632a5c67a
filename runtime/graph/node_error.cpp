#include "runtime/graph/node_error.h"

#include <string>

#include "runtime/graph/op_def.h"

namespace tandem {

Error naming_node(const Error& error, const Node& node) {
  std::string text = error.what();
  if (text.find("(node '") != std::string::npos) return error;
  if (!text.starts_with('[')) text = "[" + std::string(node.def->name) + "] " + text;
  return {error.code(), text + " (node '" + node.name + "')"};
}

}  // namespace tandem
