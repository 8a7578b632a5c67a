// What the stand-in of cuDNN has been asked for: its function fake_cudnn_calls returns it, found by dlsym.
#pragma once

#include <cstddef>

struct FakeCudnnCalls {
  int handles = 0, objects = 0;                        // alive
  int forward = 0, input_grads = 0, weight_grads = 0;  // so far
  int algorithm = 0, math = 0, groups = 0;             // of the last product
  size_t workspace = 0;
};
