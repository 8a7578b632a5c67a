// 16-byte vectors: SSE2 on x86-64, NEON on 64-bit Arm.
#include "kernels/cpu/machine/loops.h"

namespace tandem::cpu {
namespace {

typedef float Vector __attribute__((vector_size(16)));

}  // namespace

constinit const ArithmeticProbe kPortableF32Probe{"f32 multiply and add, 128 bits", Arithmetic::kF32, 2.0 * 4 * 8,
                                                  Loops<Vector>::multiply_add<8>};
constinit const StreamProbe kPortableStream = Loops<Vector>::stream();

}  // namespace tandem::cpu
