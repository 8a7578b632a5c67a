#include "runtime/train/checkpoint.h"

#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "runtime/io/file.h"

namespace tandem {
namespace {

constexpr std::string_view kMagic = "TANDEMCK";
constexpr uint32_t kVersion = 1;
constexpr size_t kPrefix = 8 + 4 + 8;
constexpr size_t kDigest = 64;  // hex digits
constexpr int64_t kMostBytes = int64_t{1} << 40;

struct Parsed {
  nlohmann::json header;
  std::string_view payload;
};

[[noreturn]] void reject(const std::filesystem::path& path, std::string_view why) {
  fail(ErrorCode::kInvalidArgument, "this checkpoint cannot be used: " + std::string(why), {path.string()});
}

Parsed parse(const std::filesystem::path& path, std::string_view file) {
  if (file.size() < kPrefix + kDigest || !file.starts_with(kMagic)) reject(path, "it is not a checkpoint, or cut short");
  uint32_t version;
  uint64_t header_bytes;
  std::memcpy(&version, file.data() + 8, sizeof version);
  std::memcpy(&header_bytes, file.data() + 12, sizeof header_bytes);
  if (version != kVersion)
    reject(path, "it has version " + std::to_string(version) + ", this program reads " + std::to_string(kVersion));
  const std::string_view content = file.substr(0, file.size() - kDigest);
  if (sha256(content) != file.substr(content.size()))
    reject(path, "it is cut short or altered: its content does not match its checksum");
  if (header_bytes > content.size() - kPrefix) reject(path, "its header is damaged");
  Parsed parsed{nlohmann::json::parse(content.substr(kPrefix, header_bytes), nullptr, false),
                content.substr(kPrefix + header_bytes)};
  if (!parsed.header.is_object()) reject(path, "its header is damaged");
  return parsed;
}

}  // namespace

void save_checkpoint(const std::filesystem::path& path, StateStore& states, const JobPosition& position) {
  nlohmann::json header{{"position", position}, {"states", nlohmann::json::array()}};
  std::string payload;
  for (auto& [state_name, tensor] : states.all()) {
    const ConstTensorView view = std::as_const(tensor).view();
    header["states"].push_back({{"name", state_name},
                                {"dtype", name(view.dtype)},
                                {"shape", std::vector<int64_t>(view.shape.dims().begin(), view.shape.dims().end())},
                                {"offset", payload.size()}});
    payload.append(reinterpret_cast<const char*>(view.data), view.bytes());
  }
  const std::string text = header.dump();
  const uint64_t header_bytes = text.size();
  std::string file(kMagic);
  file.append(reinterpret_cast<const char*>(&kVersion), sizeof kVersion);
  file.append(reinterpret_cast<const char*>(&header_bytes), sizeof header_bytes);
  file.append(text).append(payload);
  const std::string digest = sha256(file);
  const std::string_view pieces[] = {file, digest};
  write_file(path, pieces);
}

JobPosition load_checkpoint(const std::filesystem::path& path, StateStore& states) {
  const std::string file = read_file(path, kMostBytes);
  const Parsed parsed = parse(path, file);
  try {
    std::vector<std::pair<Tensor*, std::string_view>> found;
    for (const auto& entry : parsed.header.at("states")) {
      const auto state_name = entry.at("name").get<std::string>();
      Tensor* state = states.find(state_name);
      if (!state) reject(path, "it holds a state this job does not have: " + state_name);
      const auto dims = entry.at("shape").get<std::vector<int64_t>>();
      if (entry.at("dtype").get<std::string>() != name(state->dtype()) || !(Shape(dims) == state->shape()))
        reject(path, "a state has another type or shape than in this job: " + state_name);
      const auto offset = entry.at("offset").get<size_t>();
      if (offset > parsed.payload.size() || parsed.payload.size() - offset < state->bytes()) reject(path, "it is cut short");
      found.emplace_back(state, parsed.payload.substr(offset, state->bytes()));
    }
    if (found.size() != states.all().size()) reject(path, "it lacks states of this job");
    auto position = parsed.header.at("position").get<JobPosition>();
    for (auto& [state, bytes] : found) std::memcpy(state->view().data, bytes.data(), bytes.size());
    return position;
  } catch (const nlohmann::json::exception&) {
    reject(path, "its header is damaged");
  }
}

}  // namespace tandem
