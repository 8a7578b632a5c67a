#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message_lite.h>
#include <grpcpp/impl/codegen/proto_buffer_reader.h>
#include <malloc.h>
#include <zlib.h>

#include <memory>
#include <new>

#include "kernels/base/error.h"
#include "serving/batching/overloaded.h"
#include "serving/grpc/call_bytes-inl.h"

namespace tandem::grpc_detail {
namespace {

grpc::StatusCode code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument: return grpc::INVALID_ARGUMENT;
    case ErrorCode::kNotFound: return grpc::NOT_FOUND;
    case ErrorCode::kAlreadyExists: return grpc::ALREADY_EXISTS;
    case ErrorCode::kOutOfMemory: return grpc::RESOURCE_EXHAUSTED;
    case ErrorCode::kUnavailable: return grpc::UNAVAILABLE;
    case ErrorCode::kDeadlineExceeded: return grpc::DEADLINE_EXCEEDED;
    case ErrorCode::kCancelled: return grpc::CANCELLED;
    case ErrorCode::kDevice:
    case ErrorCode::kInternal: return grpc::INTERNAL;
  }
  return grpc::INTERNAL;
}

bool is_within(size_t bytes, const Limits& limits) { return bytes <= static_cast<size_t>(limits.request_bytes); }

void check_size(size_t bytes, const Limits& limits) {
  check(is_within(bytes, limits), ErrorCode::kOutOfMemory,
        "the message is larger than the server's --max-body (bytes, most)", bytes, limits.request_bytes);
}

bool is_packed(const std::string& bytes) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  if (bytes.size() < 2) return false;
  return (at(0) == 0x1f && at(1) == 0x8b) || (at(0) == 0x78 && (at(0) * 256 + at(1)) % 31 == 0);
}

std::string unpacked(const std::string& packed, const Limits& limits) {
  z_stream stream{};
  constexpr int kEither = 32;  // zlib's word for: look which of the two it is
  check(inflateInit2(&stream, MAX_WBITS + kEither) == Z_OK, ErrorCode::kOutOfMemory, "no memory to unpack a message");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, inflateEnd);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string message;
  for (int state = Z_OK; state != Z_STREAM_END;) {
    char block[64 << 10];
    stream.next_out = reinterpret_cast<Bytef*>(block);
    stream.avail_out = sizeof block;
    state = inflate(&stream, Z_NO_FLUSH);
    require((state == Z_OK && stream.avail_out < sizeof block) || state == Z_STREAM_END, "a compressed message is damaged");
    message.append(block, sizeof block - stream.avail_out);
    check_size(message.size(), limits);
  }
  require(stream.avail_in == 0, "bytes follow a compressed message");
  return message;
}

std::string dumped(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  std::string text;
  text.reserve(bytes.Length());
  require(bytes.Dump(&slices).ok(), "a message has no bytes");
  for (const grpc::Slice& slice : slices) text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return text;
}

// The first two bytes, wherever they lie.
std::string beginning(const std::vector<grpc::Slice>& slices) {
  std::string first;
  for (const grpc::Slice& slice : slices) {
    first.append(reinterpret_cast<const char*>(slice.begin()), std::min<size_t>(slice.size(), 2));
    if (first.size() >= 2) break;
  }
  return first;
}

}  // namespace

grpc::Status status_of(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const NotEnabled& refusal) {
    return {grpc::UNIMPLEMENTED, refusal.what()};
  } catch (const Overloaded& refusal) {
    return {grpc::RESOURCE_EXHAUSTED, refusal.what()};
  } catch (const Error& error) {
    const grpc::StatusCode code = code_of(error.code());
    return {code, code == grpc::INTERNAL ? "internal error" : error.what()};
  } catch (const std::bad_alloc&) {
    return {grpc::RESOURCE_EXHAUSTED, "out of memory"};
  } catch (...) {
    return {grpc::INTERNAL, "internal error"};
  }
}

void read_message(const grpc::ByteBuffer& bytes, const Limits& limits, google::protobuf::MessageLite& message) {
  if (const size_t length = bytes.Length(); !is_within(length, limits)) {
    const_cast<grpc::ByteBuffer&>(bytes).Clear();  // gRPC's, which it hands out const: a message that may be of any size goes at once
    malloc_trim(0);
    check_size(length, limits);
  }
  std::vector<grpc::Slice> slices;
  if (bytes.Valid()) require(bytes.Dump(&slices).ok(), "a message has no bytes");
  bool parsed = false;
  if (is_packed(beginning(slices))) {
    parsed = message.ParseFromString(unpacked(dumped(bytes), limits));
  } else {
    grpc::ByteBuffer shared(bytes);  // the reader wants one that it might change
    grpc::ProtoBufferReader reader(&shared);
    parsed = message.ParseFromZeroCopyStream(&reader);
  }
  require(parsed, "the bytes of the call are no message of this kind");
}

void record_call(const Backend& backend, const std::string& what, const grpc::Status& status, Clock::TimePoint begun,
                 const CallTraffic& traffic) {
  backend.metrics.count_grpc(status.error_code());
  if (!backend.accesses.is_wanted()) return;
  backend.accesses.record({.protocol = "grpc",
                           .peer = traffic.peer,
                           .what = what,
                           .status = std::string(grpc_status_name(status.error_code())),
                           .time = backend.clock.now() - begun,
                           .bytes_in = traffic.bytes_in,
                           .bytes_out = traffic.bytes_out});
}

grpc::ByteBuffer bytes_of(std::string message) {
  auto* kept = new std::string(std::move(message));
  const grpc::Slice slice(kept->data(), kept->size(), [](void* text) { delete static_cast<std::string*>(text); }, kept);
  return grpc::ByteBuffer(&slice, 1);
}

}  // namespace tandem::grpc_detail
