// What the tests in Python need of the library before there is a command for it.
//
//   onnx_probe text IN            prints the graph
//   onnx_probe resave IN OUT      reads and writes it
//   onnx_probe optimize IN OUT    runs the default passes in between
#include <cstdio>
#include <exception>
#include <string_view>

#include "runtime/onnx/onnx.h"
#include "runtime/passes/pass_manager.h"

int main(int argc, char** argv) try {
  const std::string_view command = argc > 1 ? argv[1] : "";
  const bool needs_output = command == "resave" || command == "optimize";
  if (argc != (needs_output ? 4 : 3) || (!needs_output && command != "text")) {
    std::fputs("usage: onnx_probe text IN | resave IN OUT | optimize IN OUT\n", stderr);
    return 2;
  }
  tandem::Graph graph = tandem::load_onnx(argv[2]);
  if (command == "text") return std::fputs(to_text(graph).c_str(), stdout) < 0;
  if (command == "optimize") tandem::run_passes(graph, {.disabled = {}, .verify_each = true});
  tandem::save_onnx(graph, argv[3]);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
