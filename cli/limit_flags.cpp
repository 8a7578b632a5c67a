#include "cli/limit_flags.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "kernels/base/error.h"

namespace po = boost::program_options;

namespace tandem::cli {
namespace {

// A bound of what clients may send, and the flag that moves it.
struct LimitFlag {
  const char* name;
  const char* flag;
  int64_t Limits::* value;
  const char* text;
};
constexpr LimitFlag kLimitFlags[] = {
    {"request_bytes", "max-body", &Limits::request_bytes, "bytes of one request at most"},
    {"request_header_bytes", "max-header-bytes", &Limits::request_header_bytes, "bytes of a request's headers at most"},
    {"request_headers", "max-headers", &Limits::request_headers, "headers of one HTTP request at most"},
    {"request_tensors", "max-tensors", &Limits::request_tensors, "inputs, and outputs, of one request at most"},
    {"request_timeout_ms", "request-timeout", &Limits::request_timeout_ms, "milliseconds that an HTTP request may take to arrive"},
    {"json_depth", "json-depth", &Limits::json_depth, "levels of JSON at most"},
    {"connections", "connections", &Limits::connections, "connections of each port at most"},
    {"queue_length", "queue-length", &Limits::queue_length, "requests waiting for one model at most"},
    {"model_bytes", "max-model-bytes", &Limits::model_bytes, "bytes of one model file at most"},
    {"tensor_bytes", "max-tensor-bytes", &Limits::tensor_bytes, "bytes of one tensor of a model at most"},
};

}  // namespace

void add_limit_flags(po::options_description& options, Limits& limits) {
  for (const LimitFlag& limit : kLimitFlags)
    options.add_options()(limit.flag, po::value(&(limits.*limit.value))->default_value(limits.*limit.value), limit.text);
}

void check_limits(const Limits& limits) {
  for (const LimitFlag& limit : kLimitFlags)
    require(limits.*limit.value >= 1 && limits.*limit.value <= INT32_MAX * int64_t{1024}, std::string(limit.flag) + " must be at least 1, and reasonable",
            limits.*limit.value);
  require(limits.json_depth <= 1'000, "json-depth must be at most 1000", limits.json_depth);
}

void print_limits(const Limits& limits, const SizeLimits& sizes, bool json) {
  nlohmann::ordered_json object;
  for (const LimitFlag& limit : kLimitFlags) object[limit.name] = limits.*limit.value;
  object["max_batch"] = sizes.batch;
  object["max_dimension"] = sizes.dimension;
  if (json) return fmt::print("{}\n", object.dump());
  const auto print = [](const char* name, int64_t value, const char* flag, const char* text) {
    fmt::print("{:<22} {:>14}   --{:<18} {}\n", name, value, flag, text);
  };
  for (const LimitFlag& limit : kLimitFlags) print(limit.name, limits.*limit.value, limit.flag, limit.text);
  print("max_batch", sizes.batch, "max-batch", "rows of one request at most");
  print("max_dimension", sizes.dimension, "max-dimension", "size of any other dimension that requests choose, at most");
}

}  // namespace tandem::cli
