// `tandem check`: what would keep the models of a folder from being served, and what to write instead.
#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/device_options.h"
#include "cli/options.h"
#include "kernels/base/error.h"
#include "serving/http/inference_server.h"

namespace po = boost::program_options;

namespace tandem::cli {
namespace {

const Usage kUsageText = {
    "tandem check DIR [--model NAME]",
    "Holds every model version that `tandem serve` would load against its config.pbtxt and its manifest.json, loads it, and runs its golden sample "
    "and its\nwarm-ups. All that config.pbtxt says wrongly is told, with the line and with what would be right there.\n"
    "Exit codes: 0 all would be served, 2 some would not, or the folder cannot be read.",
    "  tandem check models\n"
    "  tandem check models --model mlp --json      a JSON line for each version\n"
    "  tandem check models --versions all          not the latest of each model alone\n",
};

nlohmann::ordered_json json_of(const ModelCheck& checked) {
  nlohmann::ordered_json problems = nlohmann::json::array();
  for (const ConfigProblem& problem : checked.problems) {
    nlohmann::ordered_json& one = problems.emplace_back(nlohmann::ordered_json{{"field", problem.path}, {"why", problem.why}});
    if (problem.line > 0) one["line"] = problem.line;
    if (!problem.write.empty()) one["write"] = problem.write;
  }
  nlohmann::ordered_json json{{"name", checked.name}, {"version", checked.version}, {"good", checked.is_good()}, {"problems", problems}};
  if (!checked.failure.empty()) json["failure"] = checked.failure;
  if (!checked.notes.empty()) json["notes"] = checked.notes;
  return json;
}

void print(const ModelCheck& checked) {
  const std::string title = checked.version > 0 ? fmt::format("{}/{}", checked.name, checked.version) : checked.name;
  fmt::print("{:<6} {}\n", checked.is_good() ? "good" : "wrong", title);
  for (const ConfigProblem& problem : checked.problems) {
    fmt::print("         config.pbtxt{}: {}: {}\n", problem.line > 0 ? fmt::format(", line {}", problem.line) : "", problem.path, problem.why);
    if (!problem.write.empty()) fmt::print("           write  {}\n", problem.write);
  }
  if (!checked.failure.empty()) fmt::print("         {}\n", checked.failure);
  for (const std::string& note : checked.notes) fmt::print("         note: {}\n", note);
}

// One line on a terminal, which the next overwrites.
void show_progress(const std::string& name, size_t done, size_t all) {
  if (isatty(STDERR_FILENO)) fmt::print(stderr, "\r\033[K{}/{} {}", done + 1, all, name);
}

}  // namespace

int check_command(int argc, char** argv) {
  InferenceServerOptions server;
  std::string repository, only, versions;
  DeviceFlags flags;
  po::options_description options("options");
  options.add_options()("repository,r", po::value(&repository), "folder of models (also as a plain word)")(
      "model", po::value(&only), "this model alone")("versions", po::value(&versions)->default_value("latest"),
                                                     "which versions: latest, latest:N, all, or a list such as 1,3")(
      "max-batch", po::value(&server.max_batch)->default_value(server.max_batch), "as the server will be started with");
  add_device_flags(options, flags);
  po::variables_map values;
  if (!parse_options(argc, argv, kUsageText, options, "repository", values)) return kOk;
  require(!repository.empty(), "no repository given; usage: " + kUsageText.line);
  server.repository = repository;
  server.models.versions = parse_version_policy(versions);
  server.lanes = 1;
  server.device = flags.device;
  server.strict_device = flags.strict;
  server.fast_math = is_fast_math(flags.math);
  server.precision = precision_of(flags.precision);
  server.log = [](const std::string&) {};  // what it would say is in the answer
  const std::vector<ModelCheck> all = check_models(server, only, show_progress);
  if (isatty(STDERR_FILENO)) fmt::print(stderr, "\r\033[K");
  size_t wrong = 0;
  for (const ModelCheck& checked : all) {
    wrong += checked.is_good() ? 0 : 1;
    if (values.contains("json"))
      fmt::print("{}\n", json_of(checked).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    else
      print(checked);
  }
  if (!values.contains("json")) fmt::print("{} of {} would be served\n", all.size() - wrong, all.size());
  return wrong == 0 ? kOk : kUsage;
}

}  // namespace tandem::cli
