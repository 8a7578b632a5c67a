// How NVIDIA's libraries are looked for: order, wrong versions, missing symbols, absence.
#include "kernels/cuda/library/library.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "kernels/cuda/library/cublas_lt.h"
#include "tests/support/fake_libraries/folder.h"

namespace tandem::test {
namespace {

using testing::HasSubstr;

class CudaLibrary : public testing::Test {
 protected:
  void SetUp() override {
    if (good.empty()) GTEST_SKIP() << "no stand-ins were built";
  }
  cuda::LibraryStatus open(const std::vector<std::string>& folders) {
    return cuda::open_library(cuda::library_entry(cuda::Library::kCublasLt), folders, &entry_points);
  }

  const std::string good = fake_library_folder("cublas_lt"), old = fake_library_folder("old"),
                    incomplete = fake_library_folder("incomplete");
  cuda::CublasLt entry_points{};
};

TEST_F(CudaLibrary, IsOpened) {
  const cuda::LibraryStatus status = open({good});
  EXPECT_TRUE(status.usable()) << status.problem;
  EXPECT_EQ(status.name, "cuBLASLt");
  EXPECT_EQ(status.path, good + "/libcublasLt.so.13");
  EXPECT_EQ(status.version, 130100);
  EXPECT_EQ(entry_points.version(), 130100u);
}

TEST_F(CudaLibrary, AllEntryPointsAreSet) {
  ASSERT_TRUE(open({good}).usable());
  void* pointers[sizeof entry_points / sizeof(void*)];
  std::memcpy(pointers, &entry_points, sizeof entry_points);
  for (void* pointer : pointers) EXPECT_NE(pointer, nullptr);
}

TEST_F(CudaLibrary, AbsenceIsNoError) {
  const cuda::LibraryStatus status = open({good + "/nowhere"});
  EXPECT_FALSE(status.usable());
  EXPECT_EQ(status.problem, "not found");
  EXPECT_EQ(status.path, "");
  EXPECT_THAT(status.consequence, HasSubstr("slower"));
  EXPECT_FALSE(open({}).usable());
}

TEST_F(CudaLibrary, AnOldVersionIsNotUsed) {
  const cuda::LibraryStatus status = open({old});
  EXPECT_EQ(status.problem, "version 11.9.0 is older than 12.0.0");
  EXPECT_EQ(status.version, 110900);
  EXPECT_EQ(status.path, old + "/libcublasLt.so.12");
}

TEST_F(CudaLibrary, AMissingSymbolIsNamed) {
  const cuda::LibraryStatus status = open({incomplete});
  EXPECT_EQ(status.missing_symbol, "cublasLtGetStatusString");
  EXPECT_EQ(status.problem, "it lacks cublasLtGetStatusString");
}

TEST_F(CudaLibrary, AWrongOneDoesNotHideAGoodOne) {
  EXPECT_EQ(open({old, incomplete, good}).path, good + "/libcublasLt.so.13");
  EXPECT_EQ(open({incomplete, old}).problem, "it lacks cublasLtGetStatusString");
}

TEST_F(CudaLibrary, TheEnvironmentComesFirst) {
  const char* const before = std::getenv("TANDEM_CUDA_LIBRARY_PATH");
  const std::string kept = before ? before : "";
  setenv("TANDEM_CUDA_LIBRARY_PATH", (old + "::" + good).c_str(), 1);
  const std::vector<std::string> folders = cuda::library_folders();
  ASSERT_GE(folders.size(), 2u);
  EXPECT_EQ(folders[0], old);
  EXPECT_EQ(folders[1], good);
  unsetenv("TANDEM_CUDA_LIBRARY_PATH");
  EXPECT_THAT(cuda::library_folders(), testing::Not(testing::Contains(good)));
  if (before) setenv("TANDEM_CUDA_LIBRARY_PATH", kept.c_str(), 1);
}

TEST(CudaLibraryTable, SaysWhatEachIsFor) {
  for (cuda::Library library : cuda::kLibraries) {
    const cuda::LibraryEntry& entry = cuda::library_entry(library);
    EXPECT_FALSE(entry.name.empty() || entry.sonames.empty() || entry.consequence.empty());
    EXPECT_GE(entry.least_version, 20000);
    EXPECT_TRUE(
        std::ranges::any_of(entry.symbols, [&](const auto& s) { return std::string_view(s.name) == entry.version_symbol; }));
    const cuda::LibraryStatus& status = cuda::library_status(library);
    EXPECT_EQ(status.name, entry.name);
    EXPECT_EQ(status.usable(), status.problem.empty());
    EXPECT_EQ(&status, &cuda::library_status(library)) << "looked for once";
  }
}

TEST(CudaLibraryTable, VersionsAreReadable) {
  EXPECT_EQ(cuda::version_text(130100), "13.1.0");
  EXPECT_EQ(cuda::version_text(91902), "9.19.2");
  EXPECT_EQ(cuda::version_text(22809), "2.28.9");
}

}  // namespace
}  // namespace tandem::test
