// What a lane holds on one GPU: its stream, its library handles and how exact its mathematics is. One thread at a time uses it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tandem::cuda {

enum class Math : uint8_t {
  kStrict,  // f32 products are f32 products
  kFast,    // TF32 tensor cores may be used for f32
};

// One kernel launch, or one call of a library, as it was asked for.
struct LaunchRecord {
  std::string kernel;  // "softmax_rows<float>", or "cublasLtMatmul"
  int64_t blocks = 1;  // of the whole grid
  int threads = 1;     // of a block
  int64_t shared = 0;  // bytes of dynamic shared memory
};

// While a session has a recorder, launches are noted there and not made: a plan can be looked at without a device.
using LaunchRecorder = std::vector<LaunchRecord>;

class Session {
 public:
  // `stream` is a cudaStream_t that outlives the session.
  explicit Session(void* stream, Math math = Math::kStrict) : stream_(stream), math_(math) {}
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void* stream() const { return stream_; }
  Math math() const { return math_; }
  LaunchRecorder* recorder = nullptr;

  // A library's handle bound to the stream, made when first asked for and destroyed with the session: cublasLtHandle_t and
  // cudnnHandle_t, or null where the library is not there. See kernels/cuda/library/.
  void* blas();
  void* dnn();

 private:
  void* stream_;
  Math math_;
  void* blas_ = nullptr;
  void* dnn_ = nullptr;
  bool blas_asked_ = false, dnn_asked_ = false;
};

}  // namespace tandem::cuda
