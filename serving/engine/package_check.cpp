#include "serving/engine/package_check.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <vector>

#include "kernels/base/error.h"
#include "runtime/io/file.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr double kAbsolute = 1e-4, kRelative = 1e-3;

std::optional<json> manifest_of(const fs::path& folder, const Limits& limits) {
  if (!fs::exists(folder / "manifest.json")) return std::nullopt;
  json manifest = json::parse(read_file_beneath(folder, "manifest.json", limits.request_bytes), nullptr, false);
  require(manifest.is_object(), "manifest.json is no JSON object");
  if (manifest.value("format", "") != "tandem-manifest-1") return std::nullopt;
  return manifest;
}

// What the manifest writes as null is no number.
double number_of(const json& value) { return value.is_null() ? std::nan("") : value.get<double>(); }

Tensor tensor_of(const json& recorded, const TensorSpec& spec) {
  const auto dims = recorded.at("shape").get<std::vector<int64_t>>();
  const json& data = recorded.at("data");
  const Shape shape{std::span<const int64_t>(dims)};
  require(static_cast<int64_t>(data.size()) == shape.elements(), "manifest.json: a golden sample has another number of values than its shape",
          spec.name);
  if (spec.dtype == DType::kString) {
    const auto texts = data.get<std::vector<std::string>>();
    return Tensor::strings(shape, std::span<const std::string>(texts));
  }
  Tensor tensor(spec.dtype, shape);
  visit_number_or_bool(spec.dtype, [&]<class T>() {
    T* out = tensor.as<T>().data();
    for (const json& value : data) {
      if constexpr (std::is_floating_point_v<T>)
        *out++ = static_cast<T>(number_of(value));
      else
        *out++ = value.get<T>();
    }
  });
  return tensor;
}

[[noreturn]] void differs(const std::string& name, size_t element, const std::string& got, const std::string& wanted) {
  fail(ErrorCode::kInvalidArgument, "the golden sample of manifest.json is not what this machine computes: output '" + name + "', element " +
                                        std::to_string(element) + " is " + got + ", was " + wanted + " when the model was made");
}

void compare(const std::string& name, ConstTensorView got, const Tensor& recorded) {
  const ConstTensorView wanted = recorded.view();
  require(got.shape == wanted.shape, "the golden sample of manifest.json has another shape: output '" + name + "'", to_string(got.shape),
          to_string(wanted.shape));
  if (got.dtype == DType::kString) {
    for (size_t i = 0; i < got.as<std::string_view>().size(); ++i)
      if (got.as<std::string_view>()[i] != wanted.as<std::string_view>()[i])
        differs(name, i, std::string(got.as<std::string_view>()[i]), std::string(wanted.as<std::string_view>()[i]));
    return;
  }
  visit_number_or_bool(got.dtype, [&]<class T>() {
    for (size_t i = 0; i < got.as<T>().size(); ++i) {
      const auto a = static_cast<double>(got.as<T>()[i]), b = static_cast<double>(wanted.as<T>()[i]);
      const double allowed = std::is_floating_point_v<T> ? kAbsolute + kRelative * std::abs(b) : 0;
      const bool is_equal = a == b || (std::isnan(a) && std::isnan(b)) || std::abs(a - b) <= allowed;
      if (!is_equal) differs(name, i, std::to_string(a), std::to_string(b));
    }
  });
}

// Of the types that `tandem train` makes models of.
bool can_compare(const std::vector<TensorSpec>& specs) {
  constexpr DType kTypes[] = {DType::kF32, DType::kF64, DType::kI32, DType::kI64, DType::kBool, DType::kString};
  return std::ranges::all_of(specs, [&](const TensorSpec& spec) { return std::ranges::find(kTypes, spec.dtype) != std::end(kTypes); });
}

}  // namespace

void check_package_file(const fs::path& folder, const std::string& file, const std::string& sha256, const Limits& limits) try {
  const std::optional<json> manifest = manifest_of(folder, limits);
  if (!manifest || !manifest->contains("model") || manifest->at("model").value("file", "") != file) return;
  const std::string recorded = manifest->at("model").at("sha256").get<std::string>();
  require(recorded == sha256, "'" + file + "' is not the file that manifest.json was written for (its SHA-256, that of the manifest)", sha256,
          recorded);
} catch (const json::exception& error) {
  fail(ErrorCode::kInvalidArgument, "manifest.json cannot be read", {error.what()});
}

void check_golden_sample(const fs::path& folder, Model& model, const Limits& limits) try {
  const std::optional<json> manifest = manifest_of(folder, limits);
  const Signature& signature = model.signature();
  if (!manifest || !manifest->contains("golden") || !can_compare(signature.inputs) || !can_compare(signature.outputs)) return;
  const json& golden = manifest->at("golden");
  if (golden.at("inputs").empty()) return;
  std::vector<Tensor> inputs;
  std::vector<ConstTensorView> views;
  for (const TensorSpec& spec : signature.inputs) inputs.push_back(tensor_of(golden.at("inputs").at(spec.name), spec));
  for (const Tensor& input : inputs) views.push_back(input.view());
  const bool is_too_large = signature.batched && views[0].shape.rank() > 0 && views[0].shape[0] > model.max_batch();
  if (is_too_large) return;  // the server allows fewer rows than were recorded
  const std::span<const ConstTensorView> outputs = model.run(0, views);
  for (size_t i = 0; i < outputs.size(); ++i) {
    const TensorSpec& spec = signature.outputs[i];
    if (golden.at("outputs").contains(spec.name)) compare(spec.name, outputs[i], tensor_of(golden.at("outputs").at(spec.name), spec));
  }
} catch (const json::exception& error) {
  fail(ErrorCode::kInvalidArgument, "manifest.json: the golden sample cannot be read", {error.what()});
}

}  // namespace tandem
