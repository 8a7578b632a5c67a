// Whether the rows of a model may be run together without the change of a bit.
//
// Kernels sum each element in an order that sizes within a row decide, not how many rows there are (kernels/cpu/gemm/tier.h), so most models give
// the same bits in any batch. Not so what looks at all rows at once (a scale of the whole batch, a branch on its sum), nor a kernel that is another one for
// few rows, nor a library's on a GPU. So it is tried, with the model as it was loaded and where it will run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "serving/batching/batching_options.h"
#include "serving/core/model.h"

namespace tandem {

// Runs rows of random values alone and in batches of up to `most` rows, each row at another place than before, on lane 0, which nobody uses yet. Nothing
// if all bits are equal, else why the rows must stay alone: "output 'y' is another for row 0 in a batch of 2". Open dimensions have 8 elements.
std::optional<std::string> why_rows_stay_alone(Model& model, int64_t most);

// For a model whose answers are to be the same whatever else runs with them: by the server's --batch-invariant, or by its own parameter
// "batch_invariant" (true, false), which goes before. Requests of a model that rows change are then not joined; the answer says why, and so does the log. ""
// if nothing changes. Throws InvalidArgument for another value of the parameter.
std::string keep_bits(Model& model, bool by_server, BatchingOptions& batching);

}  // namespace tandem
