// Arithmetic on symbolic dimensions: the text of each kind of expression, equal text for equal expressions, and random ones against their value.
#include "runtime/ops/dim_algebra.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <random>

#include "kernels/base/error.h"
#include "runtime/graph/broadcast_dim.h"
#include "runtime/ops/symbolic.h"
#include "tests/support/dim_value.h"

namespace tandem {
namespace {

const Dim kUnknown, kPast("past"), kSeq("seq"), kWidth("w");
std::string text(const Dim& dim) { return to_string(Dims{dim}); }

TEST(DimAlgebra, SumsAreInOneOrder) {
  EXPECT_EQ(text(sum(kPast, kSeq)), "[past + seq]");
  EXPECT_EQ(sum(kPast, kSeq), sum(kSeq, kPast));
  EXPECT_EQ(text(shifted(sum(kSeq, kSeq), -3)), "[2*seq - 3]");
  EXPECT_EQ(text(difference(Dim(int64_t{5}), kSeq)), "[-seq + 5]");
  EXPECT_EQ(difference(sum(kPast, kSeq), kPast), kSeq);
  EXPECT_EQ(difference(kSeq, kSeq), Dim(int64_t{0}));
}

TEST(DimAlgebra, ProductsOfSumsAreMultipliedOut) {
  const Dim all = sum(kPast, kSeq);
  EXPECT_EQ(text(product(Dims{2, all, Dim("batch")})), "[2*batch*past + 2*batch*seq]");
  EXPECT_EQ(quotient(product(Dims{2, all, Dim("batch")}), all), Dim("2*batch"));
  EXPECT_EQ(quotient(product(Dims{2, all, Dim("batch")}), Dim("2*batch")), all);
  EXPECT_EQ(quotient(shifted(all, 1), all), kUnknown);
  EXPECT_EQ(quotient(kSeq, shifted(kSeq, 1)), kUnknown);
}

TEST(DimAlgebra, FloorsTakeOutWhatDivides) {
  EXPECT_EQ(text(shifted(floor_quotient(shifted(kWidth, -1), 2), 1)), "[floor((w + 1)/2)]");
  EXPECT_EQ(text(floor_quotient(kWidth, 2)), "[floor(w/2)]");
  EXPECT_EQ(text(floor_quotient(sum(product(Dims{4, kSeq}), shifted(kWidth, 7)), 2)), "[floor((w + 1)/2) + 2*seq + 3]");
  EXPECT_EQ(floor_quotient(product(Dims{4, kSeq}), 4), kSeq);
  EXPECT_EQ(text(ceil_quotient(kWidth, 3)), "[floor((w + 2)/3)]");
}

// Two convolutions of stride 2 are one of stride 4.
TEST(DimAlgebra, FloorsOfFloorsAreOne) {
  const auto halved = [](const Dim& dim) { return shifted(floor_quotient(shifted(dim, -1), 2), 1); };
  EXPECT_EQ(text(halved(halved(kWidth))), "[floor((w + 3)/4)]");
}

TEST(DimAlgebra, WhatMayBeNegativeIsClamped) {
  EXPECT_EQ(text(clamped(shifted(kSeq, -1))), "[max(0, seq - 1)]");
  EXPECT_EQ(clamped(sum(kPast, kSeq)), sum(kPast, kSeq));
  EXPECT_EQ(clamped(shifted(product(Dims{kSeq}), 0)), kSeq);
  EXPECT_EQ(clamped(difference(Dim(int64_t{0}), kSeq)), Dim(int64_t{0}));
  EXPECT_TRUE(never_negative(kSeq));
  EXPECT_FALSE(never_negative(shifted(kSeq, -1)));
  const Dim lesser = slice_end(Dim(int64_t{512}), kSeq);
  EXPECT_EQ(clamped(lesser), lesser);
  EXPECT_FALSE(never_negative(shifted(lesser, -1)));
  EXPECT_FALSE(never_negative(difference(lesser, kPast)));
  EXPECT_FALSE(never_negative(floor_quotient(shifted(kSeq, -5), 2)));
}

TEST(DimAlgebra, UnknownStaysUnknown) {
  for (const Dim& none : {kUnknown, Dim("?"), Dim("-1"), Dim("3")}) {
    EXPECT_EQ(sum(none, kSeq), kUnknown);
    EXPECT_EQ(difference(kSeq, none), kUnknown);
    EXPECT_EQ(product(Dims{none, 2}), kUnknown);
    EXPECT_EQ(clamped(shifted(none, 2)).known(), false);
  }
  EXPECT_EQ(shifted(Dim(int64_t{2}), -3), kUnknown);
}

TEST(DimAlgebra, TextDoesNotGrowWithoutEnd) {
  Dim dim("x");
  for (int i = 0; i < 40; ++i) dim = sum(dim, Dim("symbol" + std::to_string(i)));
  EXPECT_EQ(dim, kUnknown);
  Dim large("x");
  for (int i = 0; i < 80; ++i) large = product(Dims{large, 2});
  EXPECT_EQ(large, kUnknown);
  EXPECT_THROW(product(Dims{int64_t{1} << 40, int64_t{1} << 40}), Error);
}

// A name that is no expression is an atom.
TEST(DimAlgebra, NamesOfAnyForm) {
  EXPECT_EQ(text(shifted(Dim("a) ("), 1)), "[a) ( + 1]");
  EXPECT_EQ(text(shifted(Dim("unk__6"), 1)), "[unk__6 + 1]");
  EXPECT_EQ(sum(Dim("past_sequence_length"), Dim(int64_t{1})), Dim("past_sequence_length + 1"));  // as optimum names it
}

TEST(DimAlgebra, EndsOfSlices) {
  const Dim all = sum(kPast, kSeq);
  EXPECT_EQ(slice_end(all, kPast), kPast);
  EXPECT_EQ(slice_end(all, Dim(std::numeric_limits<int64_t>::max())), all);
  EXPECT_EQ(slice_end(all, difference(Dim(int64_t{0}), kSeq)), kUnknown);  // -seq: from the begin if it is 0
  EXPECT_EQ(text(slice_end(all, difference(Dim(int64_t{0}), shifted(kSeq, 1)))), "[max(0, past - 1)]");
  EXPECT_EQ(text(slice_end(kSeq, Dim(int64_t{-1}))), "[max(0, seq - 1)]");
  EXPECT_EQ(slice_end(kSeq, difference(Dim(int64_t{0}), kSeq)), Dim(int64_t{0}));  // -seq of seq is 0 either way
  EXPECT_EQ(slice_end(kSeq, Dim(int64_t{0})), Dim(int64_t{0}));
  EXPECT_EQ(slice_end(shifted(kSeq, 3), Dim(int64_t{2})), Dim(int64_t{2}));
}

TEST(DimAlgebra, SizesThatBroadcast) {
  EXPECT_EQ(text(broadcast_dim(kSeq, kPast)), "[broadcast(past, seq)]");
  const Dim either = broadcast_dim(kSeq, kPast);
  EXPECT_EQ(broadcast_dim(kPast, kSeq), either);
  EXPECT_EQ(broadcast_dim(either, kSeq), either);
  EXPECT_EQ(broadcast_dim(kPast, either), either);
  EXPECT_NE(broadcast_dim(either, kWidth), either);
  EXPECT_EQ(broadcast_dim(kSeq, Dim(int64_t{7})), Dim(int64_t{7}));
  EXPECT_EQ(broadcast_dim(kSeq, kUnknown), kUnknown);
  EXPECT_EQ(broadcast_dim(kSeq, Dim("?")), kUnknown);
}

// Positions cut from a table of 512 meet as many words: the words' number, or the run fails.
TEST(DimAlgebra, ASliceOfATableBroadcastsToItsEnd) {
  const Dim cut = slice_end(Dim(int64_t{512}), kSeq);
  EXPECT_EQ(text(cut), "[-max(0, -seq + 512) + 512]");
  EXPECT_EQ(broadcast_dim(cut, kSeq), kSeq);
  EXPECT_EQ(broadcast_dim(kSeq, cut), kSeq);
  EXPECT_NE(broadcast_dim(kPast, cut), kPast);
  EXPECT_NE(broadcast_dim(slice_end(Dim(int64_t{1}), kSeq), kSeq), kSeq);  // a table of one row may broadcast
}

// Random expressions: their text has the value that the same steps give with numbers.
TEST(DimAlgebra, RandomExpressionsHaveTheirValue) {
  std::mt19937 random(1);
  const auto below = [&](int64_t n) { return static_cast<int64_t>(random() % static_cast<uint32_t>(n)); };
  int known = 0;
  for (int round = 0; round < 4000; ++round) {
    std::map<std::string, int64_t> sizes;
    std::vector<std::pair<Dim, int64_t>> pool;
    for (const char* name : {"a", "b", "c"}) pool.emplace_back(Dim(name), sizes[name] = below(9));
    for (int step = 0; step < 6; ++step) {
      const auto& [x, i] = pool[static_cast<size_t>(below(static_cast<int64_t>(pool.size())))];
      const auto& [y, j] = pool[static_cast<size_t>(below(static_cast<int64_t>(pool.size())))];
      const int64_t by = 1 + below(4), offset = below(9) - 4;
      std::pair<Dim, int64_t> next;
      switch (below(7)) {
        case 0: next = {sum(x, y), i + j}; break;
        case 1: next = {difference(x, y), i - j}; break;
        case 2: next = {product(Dims{x, y, by}), i * j * by}; break;
        case 3: next = {shifted(x, offset), i + offset}; break;
        case 4: next = {floor_quotient(x, by), i / by - (i % by < 0)}; break;
        case 5: next = {clamped(x), std::max<int64_t>(0, i)}; break;
        default: {
          const int64_t end = j < 0 ? std::max<int64_t>(0, i + j) : std::min(i, j);
          next = i < 0 ? std::pair{x, i} : std::pair{slice_end(x, y), end};
        }
      }
      if (next.first == Dim()) continue;
      const int64_t value = next.first.known()
                                ? next.first.size
                                : testing::DimValue(next.first.symbol, [&](const std::string& name) { return sizes.at(name); }).value();
      ASSERT_EQ(value, next.second) << text(next.first) << " of " << text(x) << " and " << text(y);
      ASSERT_TRUE(value >= 0 || !never_negative(next.first)) << text(next.first);
      ++known;
      pool.push_back(next);
    }
  }
  EXPECT_GT(known, 10'000);
}

}  // namespace
}  // namespace tandem
