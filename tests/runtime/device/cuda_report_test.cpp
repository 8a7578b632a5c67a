// What is said of libraries that are found: whether they start, on a GPU.
#include "runtime/device/cuda_report.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/support/cuda_emulator/cuda_emulator.h"
#include "tests/support/cuda_emulator/script.h"
#include "tests/support/fake_libraries/cublas_lt.h"
#include "tests/support/fake_libraries/cudnn.h"
#include "tests/support/fake_libraries/folder.h"

namespace tandem::test {
namespace {

using ::testing::HasSubstr;

// The stand-ins need the emulator's launches, which nothing else here does: this makes the linker keep them.
bool (*const volatile kept)(const volatile void*) = emulator::device_can_reach;

// Libraries are looked for once in a process: all tests here see the same two.
class CudaReportTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const std::string folders = fake_library_folder("cublas_lt") + ":" + fake_library_folder("cudnn");
    setenv("TANDEM_CUDA_LIBRARY_PATH", folders.c_str(), 1);
  }
  void SetUp() override {
    if (fake_library_folder("cublas_lt").empty() || fake_library_folder("cudnn").empty())
      GTEST_SKIP() << "no stand-ins were built";
    ASSERT_NE(kept, nullptr);
    emulator::reset();
  }
  void TearDown() override { emulator::reset(); }

  static CudaLibrary library(std::string_view name) {
    for (const CudaLibrary& library : cuda_report().libraries)
      if (library.name == name) return library;
    ADD_FAILURE() << "nothing is said of " << name;
    return {};
  }
  template <class Calls>
  static Calls calls(const CudaLibrary& library, const char* symbol) {
    void* const opened = dlopen(library.path.c_str(), RTLD_NOW | RTLD_NOLOAD);
    return reinterpret_cast<Calls (*)()>(dlsym(opened, symbol))();
  }
};

TEST_F(CudaReportTest, LibrariesThatStartAreUsed) {
  const CudaLibrary blas = library("cuBLASLt"), dnn = library("cuDNN");
  EXPECT_EQ(blas.problem, "");
  EXPECT_EQ(blas.version, "13.1.0");
  EXPECT_EQ(dnn.problem, "");
  EXPECT_THAT(dnn.path, HasSubstr("libcudnn.so.9"));
  EXPECT_EQ(library("NCCL").problem, "not found");
  EXPECT_EQ(calls<FakeCublasLtCalls>(blas, "fake_cublas_lt_calls").handles, 0) << "one was left behind";
  EXPECT_EQ(calls<FakeCudnnCalls>(dnn, "fake_cudnn_calls").handles, 0) << "one was left behind";
}

TEST_F(CudaReportTest, ALibraryThatDoesNotStartIsNotUsed) {
  setenv("FAKE_CUBLAS_LT_REFUSES", "1", 1);
  setenv("FAKE_CUDNN_REFUSES", "1008", 1);
  const CudaLibrary blas = library("cuBLASLt"), dnn = library("cuDNN");
  unsetenv("FAKE_CUBLAS_LT_REFUSES");
  EXPECT_EQ(library("cuBLASLt").problem, "");
  EXPECT_THAT(library("cuDNN").problem, HasSubstr("cudnnCreate")) << "each is tried apart";
  unsetenv("FAKE_CUDNN_REFUSES");
  EXPECT_EQ(blas.problem, "cublasLtCreate failed with status 1: the library was not initialized");
  EXPECT_EQ(blas.version, "13.1.0") << "it was found";
  EXPECT_THAT(blas.path, HasSubstr("libcublasLt.so.13"));
  EXPECT_EQ(dnn.problem, "cudnnCreate failed with status 1008: an error of the stand-in");
}

TEST_F(CudaReportTest, WithoutAGpuNothingIsTried) {
  setenv("FAKE_CUBLAS_LT_REFUSES", "1", 1);
  emulator::set_device_count(0);
  EXPECT_EQ(library("cuBLASLt").problem, "");
  unsetenv("FAKE_CUBLAS_LT_REFUSES");
}

TEST_F(CudaReportTest, AGpuThatCannotBeUsedIsNoCrash) {
  int64_t failures = 0;
  for (int64_t n = 1;; ++n) {
    emulator::reset();
    emulator::fail_call(n, cudaErrorUnknown);
    const CudaLibrary blas = library("cuBLASLt");
    if (emulator::calls() < n) break;
    if (blas.problem.empty()) continue;  // the probe met it, and there is no GPU then
    EXPECT_THAT(blas.problem, HasSubstr("the GPU cannot be used: "));
    ++failures;
  }
  EXPECT_GT(failures, 0);
}

}  // namespace
}  // namespace tandem::test
