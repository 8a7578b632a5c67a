// A message of the wire as JSON in Triton's form: fields by their names in the .proto, what was not set too (but for messages, and for
// fields of a `oneof` or `optional`), 64-bit integers as numbers, enums by name.
#pragma once

#include <string>

namespace google::protobuf {
class Message;
}

namespace tandem {

// Members in the order of the .proto; an enum's number without a name stays a number.
std::string message_json(const google::protobuf::Message& message);

}  // namespace tandem
