// Finds test cases on disk. Three layouts, those of ONNX's backend suite:
//   <kind>/test_x/model.onnx with test_data_set_<n>/{input,output}_<i>.pb     the usual one
//   light_x.onnx with light_x_output_<i>.pb beside it                        inputs are generated: element i of n is i/n
//   test_x/data.json without a model                                         names an address; such a case is only reported
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "runtime/conformance/compare.h"

namespace tandem {

// Files input_0.pb, input_1.pb, ... and output_0.pb, ... of one run of the model.
struct DataSet {
  std::vector<std::filesystem::path> inputs, outputs;
  bool generated = false;  // the inputs are made, not read
};

struct TestCase {
  std::string name;                       // of its folder, or of its model without ".onnx"
  std::string kind;                       // the folder around it: "node"
  std::filesystem::path model = {};       // empty: there is none
  std::vector<DataSet> data_sets = {};
  Tolerance tolerance = {};               // data.json beside the model may say another one
};

// All cases beneath `root`, which may be a case itself, whose name fits one of the glob patterns (none: all of them), sorted by kind and
// name. Symbolic links to folders are not followed. Throws NotFound if `root` is no folder, InvalidArgument for a broken data.json.
std::vector<TestCase> find_test_cases(const std::filesystem::path& root, const std::vector<std::string>& filters = {});

}  // namespace tandem
