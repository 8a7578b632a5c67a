#include "serving/protocol/message_json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "serving/protocol/json_writer.h"

namespace tandem {
namespace {

using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// Depth is that of the message types.
class MessageWriter {
 public:
  explicit MessageWriter(JsonWriter& json) : json_(json) {}

  void write(const Message& message) {
    const Reflection& reflection = *message.GetReflection();
    json_.begin_object();
    for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
      const FieldDescriptor* field = message.GetDescriptor()->field(i);
      if (field->has_presence() && !reflection.HasField(message, field)) continue;
      json_.key(field->name());
      if (field->is_map()) write_map(message, field);
      else if (field->is_repeated()) write_list(message, field);
      else write_value(message, field, kSingle);
    }
    json_.end_object();
  }

 private:
  static constexpr int kSingle = -1;

  void write_list(const Message& message, const FieldDescriptor* field) {
    json_.begin_array();
    for (int i = 0; i < message.GetReflection()->FieldSize(message, field); ++i) write_value(message, field, i);
    json_.end_array();
  }

  void write_map(const Message& message, const FieldDescriptor* field) {
    const FieldDescriptor* key = field->message_type()->map_key();
    json_.begin_object();
    for (int i = 0; i < message.GetReflection()->FieldSize(message, field); ++i) {
      const Message& entry = message.GetReflection()->GetRepeatedMessage(message, field, i);
      const Reflection& reflection = *entry.GetReflection();
      json_.key(key->cpp_type() == FieldDescriptor::CPPTYPE_STRING ? reflection.GetString(entry, key)
                                                                    : std::to_string(reflection.GetUInt64(entry, key)));
      write_value(entry, field->message_type()->map_value(), kSingle);
    }
    json_.end_object();
  }

  void write_value(const Message& message, const FieldDescriptor* field, int index) {
    const Reflection& reflection = *message.GetReflection();
    const bool single = index == kSingle;
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return write(single ? reflection.GetMessage(message, field) : reflection.GetRepeatedMessage(message, field, index));
      case FieldDescriptor::CPPTYPE_STRING:
        return value(single ? reflection.GetString(message, field) : reflection.GetRepeatedString(message, field, index));
      case FieldDescriptor::CPPTYPE_BOOL:
        return value(single ? reflection.GetBool(message, field) : reflection.GetRepeatedBool(message, field, index));
      case FieldDescriptor::CPPTYPE_INT32:
        return value(single ? reflection.GetInt32(message, field) : reflection.GetRepeatedInt32(message, field, index));
      case FieldDescriptor::CPPTYPE_INT64:
        return value(single ? reflection.GetInt64(message, field) : reflection.GetRepeatedInt64(message, field, index));
      case FieldDescriptor::CPPTYPE_UINT32:
        return value(single ? reflection.GetUInt32(message, field) : reflection.GetRepeatedUInt32(message, field, index));
      case FieldDescriptor::CPPTYPE_UINT64:
        return value(single ? reflection.GetUInt64(message, field) : reflection.GetRepeatedUInt64(message, field, index));
      case FieldDescriptor::CPPTYPE_FLOAT:
        return value(single ? reflection.GetFloat(message, field) : reflection.GetRepeatedFloat(message, field, index));
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return value(single ? reflection.GetDouble(message, field) : reflection.GetRepeatedDouble(message, field, index));
      case FieldDescriptor::CPPTYPE_ENUM: return write_enum(single ? reflection.GetEnumValue(message, field)
                                                                   : reflection.GetRepeatedEnumValue(message, field, index),
                                                            field);
    }
  }

  void write_enum(int number, const FieldDescriptor* field) {
    const EnumValueDescriptor* known = field->enum_type()->FindValueByNumber(number);
    if (known) value(known->name());
    else value(number);
  }

  template <class T>
  void value(const T& content) {
    json_.value(content);
  }

  JsonWriter& json_;
};

}  // namespace

std::string message_json(const Message& message) {
  std::string text;
  JsonWriter json(text);
  MessageWriter(json).write(message);
  return text;
}

}  // namespace tandem
