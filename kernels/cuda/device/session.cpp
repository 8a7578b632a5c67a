#include "kernels/cuda/device/session.h"

namespace tandem::cuda {

Session::~Session() = default;

void* Session::blas() { return nullptr; }
void* Session::dnn() { return nullptr; }

}  // namespace tandem::cuda
