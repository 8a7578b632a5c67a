// The main program of tests that run on a device: without one there is nothing to test, and the exit code says so.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstdio>

namespace {

constexpr int kNoDevice = 77;  // what test drivers take for "skipped"

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  int devices = 0;
  const cudaError_t status = cudaGetDeviceCount(&devices);
  if (!GTEST_FLAG_GET(list_tests) && (status != cudaSuccess || devices == 0)) {
    std::fprintf(stderr, "no GPU: %s\n", cudaGetErrorString(status));
    return kNoDevice;
  }
  return RUN_ALL_TESTS();
}
