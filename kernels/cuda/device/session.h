// What a lane holds on one GPU: its stream, its library handles and how exact its mathematics is. One thread at a time uses it; the
// device is that of the thread when the handles are made.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <typeindex>
#include <utility>
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
  // cudnnHandle_t, or null where the library is not there or does not start, which is tried once. See kernels/cuda/library/.
  void* blas();
  void* dnn();
  // Why it did not start, in the library's own words, or "".
  const std::string& blas_problem() const { return blas_problem_; }
  const std::string& dnn_problem() const { return dnn_problem_; }

  // What a family of kernels keeps from call to call on this session, such as a library's algorithms by shape: one T, made when first
  // asked for and destroyed before the handles.
  template <class T>
  T& kept() {
    for (auto& [type, value] : kept_)
      if (type == typeid(T)) return *static_cast<T*>(value.get());
    return *static_cast<T*>(kept_.emplace_back(typeid(T), std::make_shared<T>()).second.get());
  }

 private:
  void* stream_;
  Math math_;
  void* blas_ = nullptr;
  void* dnn_ = nullptr;
  std::string blas_problem_, dnn_problem_;
  std::vector<std::pair<std::type_index, std::shared_ptr<void>>> kept_;
};

}  // namespace tandem::cuda
