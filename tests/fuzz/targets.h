// Entry points for bytes that nobody vouches for. Each takes any bytes, and either does its work or throws tandem::Error;
// anything else is a bug. libFuzzer calls one of them (fuzz_main.cpp), fuzz_test.cpp all of them, over seeds and seeded
// mutations.
#pragma once

#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tandem::fuzz {

struct Target {
  std::string_view name;
  void (*run)(std::string_view bytes);
  std::vector<std::string> (*seeds)();  // small, valid
};

inline void PrintTo(const Target& target, std::ostream* out) { *out << target.name; }

// model: a file's bytes to a graph that verifies, from memory and as a file. passes: the same, through all passes, verified after
// each, and planned. tensors: a .pb of a test case. npy: NumPy's format. compiled: a .tdm, its checksums put right, so that what
// follows is reached. request, message, config, control: the server's (serving_targets.h). http stands alone (http_target.cpp).
std::span<const Target> targets();

}  // namespace tandem::fuzz
