// The thread that brings requests, as one that may run brief work itself.
#pragma once

#include <functional>

namespace tandem {

// Has `work` run on the calling thread, once that has brought all that came at once; may run it before it returns. Stands until that is done.
using RunLater = std::function<void(std::function<void()> work)>;

}  // namespace tandem
