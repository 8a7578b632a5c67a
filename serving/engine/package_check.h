// The manifest of a model package (manifest.json beside the model) held against what was loaded: a file that is not the one that was
// tested, or a machine on which it computes something else, is not served.
#pragma once

#include <filesystem>
#include <string>

#include "runtime/graph/limits.h"
#include "serving/core/model.h"

namespace tandem {

// Throws InvalidArgument, naming both, unless `sha256` of the model's file is what the manifest says of it. Nothing is checked without a
// manifest, or by one of another format.
void check_package_file(const std::filesystem::path& folder, const std::string& file, const std::string& sha256, const Limits& limits);

// Runs the manifest's golden sample on lane 0, which nobody uses yet. Throws InvalidArgument naming tensor, element and difference if an output
// is not within 1e-4 + 0.1% of what was recorded (whole numbers and texts: equal). A sample of more rows than the model
// may have at once is not run.
void check_golden_sample(const std::filesystem::path& folder, Model& model, const Limits& limits);

}  // namespace tandem
