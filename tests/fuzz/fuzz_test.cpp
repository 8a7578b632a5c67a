// The fuzz targets as plain tests: their seeds, then every file of corpus/<target>, then mutations of both by a seeded generator.
// Runs under AddressSanitizer and UndefinedBehaviorSanitizer in scripts/test. TANDEM_FUZZ_RUNS and TANDEM_FUZZ_SEED run longer or
// elsewhere.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "kernels/base/error.h"
#include "runtime/io/file.h"
#include "tests/fuzz/targets.h"
#include "tests/support/source_dir.h"

namespace tandem::fuzz {
namespace {

uint64_t setting(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

class Mutator {
 public:
  // `whole`: inputs that are taken; `faulty`: others, most of which are refused at once.
  Mutator(std::vector<std::string> whole, std::vector<std::string> faulty, uint64_t seed)
      : whole_(std::move(whole)), faulty_(std::move(faulty)), random_(seed) {}

  // One of them with one to four changes, mostly one: what is behind the readers sees only what they still take.
  std::string next() {
    std::string bytes = any();
    for (size_t changes = below(3) ? 1 : 2 + below(3); changes > 0 && !bytes.empty(); --changes) change(bytes);
    return bytes;
  }

 private:
  size_t below(size_t n) { return static_cast<size_t>(random_() % n); }
  const std::string& any() {
    const std::vector<std::string>& files = below(4) ? whole_ : faulty_;
    return files[below(files.size())];
  }

  void change(std::string& bytes) {
    static constexpr unsigned char kTelling[] = {0,  1,   2,   3,   4,   8,   16,  ' ', '"', '-',
                                                 '0', '1', '9', '{', 127, 128, 129, 192, 254, 255};
    const size_t at = below(bytes.size()), length = 1 + below(std::min<size_t>(bytes.size() - at, 16));
    switch (below(8)) {
      case 0: bytes[at] = static_cast<char>(bytes[at] ^ 1 << below(8)); break;
      case 1: bytes[at] = static_cast<char>(kTelling[below(std::size(kTelling))]); break;
      case 2: bytes.erase(at, length); break;
      case 3: bytes.insert(at, bytes.substr(at, length)); break;
      case 4: bytes.replace(at, length, std::string(length, static_cast<char>(kTelling[below(std::size(kTelling))]))); break;
      case 5: bytes.replace(at, length, bytes.substr(below(bytes.size()), length)); break;
      case 6: {
        const size_t digit = bytes.find_first_of("0123456789", at);
        if (digit != std::string::npos) bytes[digit] = static_cast<char>('0' + below(10));
        break;
      }
      default: {
        const std::string& other = any();
        bytes.replace(at, length, other.empty() ? other : other.substr(below(other.size()), 1 + below(64)));
      }
    }
  }

  std::vector<std::string> whole_, faulty_;
  std::mt19937_64 random_;
};

// Whether the bytes were taken. A defect of ours is the test's failure, whatever was wrong with the bytes.
bool takes(const Target& target, const std::string& bytes) try {
  target.run(bytes);
  return true;
} catch (const Error& error) {
  EXPECT_NE(error.code(), ErrorCode::kInternal) << error.what();
  return false;
}

// corpus/<target>: small files with a fault each, and what once was a finding.
std::vector<std::string> corpus_of(const Target& target) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(source_dir() / "tests/fuzz/corpus" / target.name))
    paths.push_back(entry.path());
  std::ranges::sort(paths);
  std::vector<std::string> files;
  for (const auto& path : paths) files.push_back(read_file(path, 1 << 20));
  return files;
}

class Fuzz : public ::testing::TestWithParam<Target> {};
INSTANTIATE_TEST_SUITE_P(, Fuzz, ::testing::ValuesIn(targets().begin(), targets().end()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_P(Fuzz, SeedsAreTaken) {
  for (const std::string& seed : GetParam().seeds()) EXPECT_NO_THROW(GetParam().run(seed));
}

TEST_P(Fuzz, MutationsNeverCrash) {
  const uint64_t seed = setting("TANDEM_FUZZ_SEED", 1), runs = setting("TANDEM_FUZZ_RUNS", 1500);
  SCOPED_TRACE("TANDEM_FUZZ_SEED=" + std::to_string(seed));
  Mutator mutator(GetParam().seeds(), corpus_of(GetParam()), seed);
  uint64_t taken = 0;
  for (uint64_t i = 0; i < runs && !HasFailure(); ++i) {
    SCOPED_TRACE("mutation " + std::to_string(i));
    taken += takes(GetParam(), mutator.next());
  }
  // What is refused at once tests the readers' first lines only.
  EXPECT_GE(taken, runs / 50);
}

TEST_P(Fuzz, CorpusNeverCrashes) {
  const std::vector<std::string> files = corpus_of(GetParam());
  EXPECT_GE(files.size(), 10u);
  for (const std::string& file : files) takes(GetParam(), file);
}

}  // namespace
}  // namespace tandem::fuzz
