// Convolutions on made-up numbers, done in several ways: what Tuning compares.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "kernels/api/conv_chain.h"
#include "kernels/api/conv_winograd.h"
#include "runtime/plan/tuning.h"

namespace tandem {

// Images with channels last, one after the other: each reads what the one before it has made.
using ConvSequence = std::vector<std::variant<ConvGeometry, ConvChain>>;

// "3x3 56x56x64 to 64 at 56x56, 1 thread". Bias, residual and activation are left out of it and of the runs: all ways pay the same for them.
std::string work_text(const std::vector<ConvGeometry>& convs, int64_t batch, int threads);

// How many images of a batch are measured: as many as take 64 MiB with their results, at least one.
int64_t measured_batch(const std::vector<ConvGeometry>& convs, int64_t batch);

Candidate conv_candidate(std::string name, ConvSequence convs, int64_t batch, int threads);
Candidate winograd_candidate(std::string name, const ConvGeometry& conv, cpu::WinogradTiles tiles, int64_t batch, int threads);

}  // namespace tandem
