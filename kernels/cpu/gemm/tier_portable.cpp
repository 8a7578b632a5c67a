// The portable tier: 16-byte vectors of the compiler's own (GCC and Clang lower them to any architecture), separate multiply and add.
// 4 x 8 floats in registers. Also the only tier for f64, which serves gradient checks.
#include "kernels/cpu/gemm/narrow_tile.h"
#include "kernels/cpu/gemm/streaming_tile.h"
#include "kernels/cpu/gemm/tiers.h"
#include "kernels/cpu/gemm/vector_portable-inl.h"

namespace tandem::cpu {

constinit const GemmTier<float> kPortableF32 = make_tier<PortableVector<float>>();
constinit const GemmTier<double> kPortableF64 = make_tier<PortableVector<double>>();

}  // namespace tandem::cpu
