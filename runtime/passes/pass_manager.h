// Runs passes in a fixed order; times each, can leave any out by name, can verify the graph after each.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/passes/pass.h"

namespace tandem {

// The -DTANDEM_VERIFY=1 builds (presets dev and asan) verify after every pass.
#ifdef TANDEM_VERIFY
inline constexpr bool kVerifyEachPass = true;
#else
inline constexpr bool kVerifyEachPass = false;
#endif

struct PassOptions {
  std::set<std::string, std::less<>> disabled;  // names of passes to leave out
  bool verify_each = kVerifyEachPass;
};

struct PassReport {
  std::string_view name;
  int changes = 0;
  int nodes_before = 0, nodes_after = 0;
  int64_t microseconds = 0;
  std::vector<NearMiss> near_misses;
};

// The passes of an inference or training graph, in the order in which they help each other.
std::span<const Pass* const> default_passes();

// Those that make_plan runs on a graph for the CPU, when all others are done: they use what only a plan has (casts around 16-bit
// floats), and what they make has no kernels elsewhere (bf16_storage only where a plan asks for bf16). Their names may be given to run_passes too, which has nothing to leave out then.
std::span<const Pass* const> host_passes();

// One pass, whatever the options disable.
PassReport run_pass(Graph& graph, const Pass& pass, bool verify = kVerifyEachPass);

// Throws InvalidArgument for a disabled name that no pass has, Internal naming the pass after which a graph no longer verifies.
std::vector<PassReport> run_passes(Graph& graph, const PassOptions& options = {},
                                   std::span<const Pass* const> passes = default_passes());

// Why passes did not do what they nearly did, a line each.
std::string near_misses_to_text(std::span<const PassReport> reports);

// The reports as a table: pass, changes, nodes before and after, time.
std::string to_text(std::span<const PassReport> reports);

}  // namespace tandem
