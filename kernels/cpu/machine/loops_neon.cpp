// 16-byte vectors with FMA, 24 sums in flight.
#include "kernels/cpu/machine/loops.h"

namespace tandem::cpu {
namespace {

typedef float Vector __attribute__((vector_size(16)));

}  // namespace

constinit const ArithmeticProbe kNeonF32Probe{"f32 FMA, 128 bits", Arithmetic::kF32, 2.0 * 4 * 24, Loops<Vector>::multiply_add<24>};

}  // namespace tandem::cpu
