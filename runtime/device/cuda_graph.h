// A stretch of a stream's work as a CUDA graph, ready to be launched.
#pragma once

#include "runtime/device/device.h"

struct CUgraph_st;
struct CUgraphExec_st;

namespace tandem {

class CudaGraph final : public CapturedGraph {
 public:
  // Takes the cudaGraph_t that a capture ended with, and makes it launchable. Throws Error(kDevice).
  explicit CudaGraph(CUgraph_st* captured);
  ~CudaGraph() override;
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  int64_t nodes() const override { return nodes_; }
  CUgraphExec_st* handle() const { return exec_; }  // cudaGraphExec_t

 private:
  CUgraphExec_st* exec_ = nullptr;
  int64_t nodes_ = 0;
};

}  // namespace tandem
