// 32-byte vectors with FMA.
#include "kernels/cpu/machine/loops.h"

namespace tandem::cpu {
namespace {

typedef float Vector __attribute__((vector_size(32)));

}  // namespace

constinit const ArithmeticProbe kAvx2F32Probe{"f32 FMA, 256 bits", Arithmetic::kF32, 2.0 * 8 * 12, Loops<Vector>::multiply_add<12>};
constinit const StreamProbe kAvx2Stream = Loops<Vector>::stream();

}  // namespace tandem::cpu
