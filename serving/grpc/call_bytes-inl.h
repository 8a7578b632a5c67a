// A call's bytes and its end, between gRPC's types and ours.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <exception>
#include <string>

#include "runtime/graph/limits.h"
#include "serving/gate/backend.h"

namespace google::protobuf {
class MessageLite;
}

namespace tandem::grpc_detail {

// What is answered to what was thrown. A defect of our own is not explained to clients.
grpc::Status status_of(const std::exception_ptr& thrown);

// Throws InvalidArgument for what is no such message, OutOfMemory naming the limit for one that is too large, packed or unpacked.
//
// Packed messages (gzip, deflate) are unpacked here, within the limit: gRPC has none for what a message unpacks to. Its frames do not say
// to us which they are, but no message of ours begins as either does: 1f is no tag, and 78 that of a field 15.
void read_message(const grpc::ByteBuffer& bytes, const Limits& limits, google::protobuf::MessageLite& message);

// The bytes without a copy.
grpc::ByteBuffer bytes_of(std::string message);

// Who called, and how much went over the wire.
struct CallTraffic {
  std::string peer;
  int64_t bytes_in = 0, bytes_out = 0;
};

// Counts a call, or a request of a stream, that has ended, and writes its line of the access log.
void record_call(const Backend& backend, const std::string& what, const grpc::Status& status, Clock::TimePoint begun,
                 const CallTraffic& traffic);

}  // namespace tandem::grpc_detail
