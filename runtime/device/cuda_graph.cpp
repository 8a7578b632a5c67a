#include "runtime/device/cuda_graph.h"

#include <cuda_runtime_api.h>

#include "kernels/cuda/device/check.h"
#include "runtime/device/cuda_current.h"

namespace tandem {
namespace {

void destroy(cudaGraph_t graph) noexcept { drop_error(cudaGraphDestroy(graph)); }

}  // namespace

CudaGraph::CudaGraph(cudaGraph_t captured) {
  const std::unique_ptr<CUgraph_st, void (*)(cudaGraph_t) noexcept> graph(captured, destroy);
  size_t count = 0;
  cuda::check_cuda(cudaGraphGetNodes(graph.get(), nullptr, &count), "cudaGraphGetNodes");
  nodes_ = static_cast<int64_t>(count);
  cuda::check_cuda(cudaGraphInstantiate(&exec_, graph.get(), 0), "cudaGraphInstantiate");
}

CudaGraph::~CudaGraph() { drop_error(cudaGraphExecDestroy(exec_)); }

}  // namespace tandem
