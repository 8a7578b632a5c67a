// The one exception of the library. Codes are split by who can mend the cause.
//
// A message is static text, then the values: "[Softmax] axis out of range: 5, rank 2". No formatting library here:
// kernels/ is also read by nvcc, and fmt 9's compile-time format strings do not get through it.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>

namespace tandem {

enum class ErrorCode {
  kInvalidArgument,   // the caller's input is wrong: mend the input
  kNotFound,          // what was named does not exist
  kAlreadyExists,     // what was to be made exists
  kOutOfMemory,       // a stated limit, or the machine's memory, does not allow it
  kDevice,            // a device or its library failed
  kUnavailable,       // try again later, or elsewhere
  kDeadlineExceeded,  // a wait passed its deadline
  kCancelled,         // the caller asked to stop
  kInternal,          // a defect of Tandem
};

constexpr std::string_view name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument: return "InvalidArgument";
    case ErrorCode::kNotFound: return "NotFound";
    case ErrorCode::kAlreadyExists: return "AlreadyExists";
    case ErrorCode::kOutOfMemory: return "OutOfMemory";
    case ErrorCode::kDevice: return "Device";
    case ErrorCode::kUnavailable: return "Unavailable";
    case ErrorCode::kDeadlineExceeded: return "DeadlineExceeded";
    case ErrorCode::kCancelled: return "Cancelled";
    case ErrorCode::kInternal: return "Internal";
  }
  return "Internal";
}

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

// One value at the end of a message.
struct ErrorValue {
  std::string text;
  template <class T>
  requires std::integral<T> || std::floating_point<T> ErrorValue(T value) : text(std::to_string(value)) {}
  template <class T>
  requires std::convertible_to<const T&, std::string_view> ErrorValue(const T& value) : text(std::string_view(value)) {}
};

[[noreturn]] inline void fail(ErrorCode code, std::string_view text, std::initializer_list<ErrorValue> values = {}) {
  std::string message(text);
  std::string_view separator = ": ";
  for (const ErrorValue& value : values) {
    message.append(separator).append(value.text);
    separator = ", ";
  }
  throw Error(code, message);
}

// Throws Error(code, "text: value, value, ...") unless `holds`.
template <class... Values>
void check(bool holds, ErrorCode code, std::string_view text, const Values&... values) {
  if (!holds) [[unlikely]]
    fail(code, text, {ErrorValue(values)...});
}

// The two codes used most: a wrong input, and a defect of our own.
template <class... Values>
void require(bool holds, std::string_view text, const Values&... values) {
  check(holds, ErrorCode::kInvalidArgument, text, values...);
}
template <class... Values>
void ensure(bool holds, std::string_view text, const Values&... values) {
  check(holds, ErrorCode::kInternal, text, values...);
}

}  // namespace tandem
