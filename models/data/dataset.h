// Rows to train on or to evaluate: features by graph-input name, and the target. Immutable; threads may share one.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/data/digest.h"
#include "models/data/target.h"
#include "runtime/graph/tensor.h"

namespace tandem {

// One graph input as a data set feeds it: `shape` without the batch dimension.
struct DataInput {
  std::string name;
  DType dtype = DType::kUndefined;
  Shape shape;
};

class Dataset {
 public:
  explicit Dataset(Target target) : target_(std::move(target)) {}
  virtual ~Dataset() = default;
  Dataset(const Dataset&) = delete;
  Dataset& operator=(const Dataset&) = delete;

  virtual int64_t rows() const = 0;
  // The inputs, in the order of their indices below.
  virtual const std::vector<DataInput>& inputs() const = 0;
  // Writes one input of the given rows to `out`, of shape [rows.size(), ...inputs()[input].shape]. Allocates nothing. Text
  // elements point into the data set. REQUIRES: 0 <= row < rows().
  virtual void gather_into(std::span<const int64_t> rows, size_t input, TensorView out) const = 0;
  // Of the content of one row, target included: equal rows have equal digests, wherever they stand.
  virtual Digest digest(int64_t row) const = 0;

  // All inputs of the given rows. Throws InvalidArgument for a row that does not exist.
  std::vector<Tensor> gather(std::span<const int64_t> rows) const;

  const Target& target() const { return target_; }
  // [rows.size()], i64 class ids or f32 values. REQUIRES: there is a target.
  Tensor gather_target(std::span<const int64_t> rows) const;

 private:
  void check_rows(std::span<const int64_t> rows) const;
  Target target_;
};

// Collects what a row consists of, unambiguously: every field is written with its length. Used by implementations of digest().
class RowContent {
 public:
  void add(std::string_view bytes);
  void add(double value);
  void add_target(const Target& target, int64_t row);
  Digest digest() const { return digest_of(content_); }

 private:
  std::string content_;
};

}  // namespace tandem
