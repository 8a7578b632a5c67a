// One inference request of HTTP: from its body to a queued call, and from the outputs to the answer's body.
#pragma once

#include "runtime/graph/limits.h"
#include "serving/gate/backend.h"
#include "serving/http/http_message.h"
#include "serving/http/route.h"

namespace tandem {

// Of kInfer, kGenerate and kGenerateStream. `respond` is called once, perhaps before this returns. Throws what
// ModelRepository::find throws; anything later is answered.
void begin_inference(const Backend& backend, const Limits& limits, const Route& route, const HttpRequest& request,
                     const HttpRespond& respond);

}  // namespace tandem
