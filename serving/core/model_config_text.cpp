// config.pbtxt and its JSON form to the plain configuration. Lines are taken from protobuf's parser, for errors that are found later.
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>

#include "kernels/base/error.h"
#include "model_config.pb.h"
#include "models/data/utf8.h"
#include "runtime/graph/nearest_name.h"
#include "serving/core/config_findings.h"
#include "serving/core/model_config_message.h"

namespace tandem {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::TextFormat;

constexpr int kMostDepth = 64;

// The first fault, since others follow from it.
class FirstError final : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int column, const std::string& message) override {
    if (!text_.empty()) return;
    text_ = "line " + std::to_string(line + 1) + ", column " + std::to_string(column + 1) + ": " + message;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// No message of a configuration contains itself, so the depth is that of the types.
void note_lines(const Message& message, const TextFormat::ParseInfoTree& tree, const std::string& prefix,
                std::map<std::string, int>& lines) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string path = prefix + field->name();
    const bool each = field->is_repeated() && !field->is_map() && field->message_type();
    const int count = each ? message.GetReflection()->FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      const std::string here = each ? path + "[" + std::to_string(i) + "]" : path;
      lines[here] = tree.GetLocation(field, field->is_repeated() ? i : -1).line + 1;
      const TextFormat::ParseInfoTree* nested = tree.GetTreeForNested(field, field->is_repeated() ? i : -1);
      if (!nested || !field->message_type() || field->is_map()) continue;
      const auto& inner = each ? message.GetReflection()->GetRepeatedMessage(message, field, i)
                               : message.GetReflection()->GetMessage(message, field);
      note_lines(inner, *nested, here + ".", lines);
    }
  }
}

// The text between `before` and the next quote; "" if there is none.
std::string quoted_after(const std::string& text, std::string_view before) {
  const size_t at = text.find(before);
  if (at == std::string::npos) return "";
  const size_t begin = at + before.size();
  return text.substr(begin, text.find('"', begin) - begin);
}

// " (did you mean 'max_batch_size'?)" for a field that there is not, in the words of protobuf's parser.
std::string meant_field(const std::string& error) {
  const std::string type = quoted_after(error, "Message type \""), field = quoted_after(error, "has no field named \"");
  if (type.empty() || field.empty()) return "";
  const auto* message = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(type);
  std::vector<std::string_view> names;
  for (int i = 0; message && i < message->field_count(); ++i) names.push_back(message->field(i)->name());
  return did_you_mean(field, names);
}

}  // namespace

ServingConfig read_model_config(std::string_view text, std::vector<ConfigProblem>& problems) {
  require(is_utf8(text), "the configuration is not UTF-8");
  inference::ModelConfig message;
  FirstError error;
  TextFormat::ParseInfoTree tree;
  TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  parser.WriteLocationsTo(&tree);
  parser.SetRecursionLimit(kMostDepth);
  const bool parsed = parser.ParseFromString(std::string(text), &message);
  require(parsed && error.text().empty(), error.text() + meant_field(error.text()));
  std::map<std::string, int> lines;
  note_lines(message, tree, "", lines);
  ServingConfig config = config_of_message(message, std::move(lines));
  ConfigFindings found(config);
  check_fields(config, found);
  problems = found.take();
  return config;
}

ServingConfig parse_model_config(std::string_view text) {
  std::vector<ConfigProblem> problems;
  ServingConfig config = read_model_config(text, problems);
  if (!problems.empty()) fail(ErrorCode::kInvalidArgument, to_string(problems.front()));
  return config;
}

ServingConfig parse_model_config_json(std::string_view text) {
  inference::ModelConfig message;
  const auto status = google::protobuf::util::JsonStringToMessage({text.data(), text.size()}, &message);
  require(status.ok(), "the configuration is no JSON of a ModelConfig", std::string(status.message()));
  ServingConfig config = config_of_message(message, {});
  check_model_config(config);
  return config;
}

std::string where_in_config(const ServingConfig& config, const std::string& path) {
  const auto line = config.lines.find(path);
  return line == config.lines.end() ? path : "line " + std::to_string(line->second) + ": " + path;
}

}  // namespace tandem
