// A libcublasLt that cannot be used: of the version FAKE_VERSION, and with no other entry point.
#include <cstddef>

extern "C" size_t cublasLtGetVersion() { return FAKE_VERSION; }
