// 64-byte vectors with FMA.
#include "kernels/cpu/machine/loops.h"

namespace tandem::cpu {
namespace {

typedef float Vector __attribute__((vector_size(64)));

}  // namespace

constinit const ArithmeticProbe kAvx512F32Probe{"f32 FMA, 512 bits", Arithmetic::kF32, 2.0 * 16 * 24, Loops<Vector>::multiply_add<24>};
constinit const StreamProbe kAvx512Stream = Loops<Vector>::stream();

}  // namespace tandem::cpu
