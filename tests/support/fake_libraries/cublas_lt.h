// What the stand-in of cuBLASLt has been asked for: its function fake_cublas_lt_calls returns it, found by dlsym.
#pragma once

struct FakeCublasLtCalls {
  int handles = 0, objects = 0;    // alive
  int searches = 0, products = 0;  // so far
  int compute = 0, epilogue = 0;   // of the last product
  unsigned schemes = 0;            // of reduction that the last search allowed
};
