// The right to use AMX's tiles, which Linux gives to processes that ask.
#pragma once

namespace tandem::cpu {

// Whether this processor has AMX with int8 and bf16 and the system lets this process use it. Asks at the first call; threads that
// exist already are included.
bool amx_is_permitted();

}  // namespace tandem::cpu
