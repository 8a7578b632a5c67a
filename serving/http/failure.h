// Errors as HTTP answers: {"error": "..."} and a status.
#pragma once

#include <exception>
#include <string_view>

#include "kernels/base/error.h"
#include "serving/batching/overloaded.h"
#include "serving/http/http_message.h"

namespace tandem {

// The status that an error is answered with.
int http_status(ErrorCode code);

HttpResponse failure(int status, std::string_view message);
// The answer to what was thrown. A defect of our own is not explained to clients.
HttpResponse failure(const std::exception_ptr& thrown);
// 429 with Retry-After.
HttpResponse failure(const Overloaded& refusal);

}  // namespace tandem
