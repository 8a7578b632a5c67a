#include "serving/http/failure.h"

#include "serving/gate/authorizer.h"
#include "serving/http/route.h"
#include "serving/protocol/metadata.h"

namespace tandem {

HttpResponse failure(int status, std::string_view message) { return {status, "application/json", error_json(message)}; }

HttpResponse failure(const Overloaded& refusal) {
  HttpResponse response = failure(429, refusal.what());
  response.headers.emplace_back("Retry-After", std::to_string((refusal.retry_after().count() + 999) / 1'000));
  return response;
}

HttpResponse failure(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const HttpFault& fault) {
    HttpResponse response = failure(fault.status, fault.message);
    if (!fault.allow.empty()) response.headers.emplace_back("Allow", fault.allow);
    if (fault.status == 415) response.headers.emplace_back("Accept-Encoding", "gzip, deflate");
    return response;
  } catch (const NotEnabled& refusal) {
    return failure(501, refusal.what());
  } catch (const Overloaded& refusal) {
    return failure(refusal);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal || error.code() == ErrorCode::kDevice) return failure(500, "internal error");
    return failure(http_status(error.code()), error.what());
  } catch (const std::bad_alloc&) {
    return failure(503, "out of memory");
  } catch (...) {
    return failure(500, "internal error");
  }
}

int http_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kAlreadyExists:
    case ErrorCode::kCancelled: return 400;
    case ErrorCode::kNotFound: return 404;
    case ErrorCode::kOutOfMemory:
    case ErrorCode::kUnavailable: return 503;
    case ErrorCode::kDeadlineExceeded: return 504;
    case ErrorCode::kDevice:
    case ErrorCode::kInternal: return 500;
  }
  return 500;
}

}  // namespace tandem
