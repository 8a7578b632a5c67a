// Requests of different lengths in one batch: an open dimension is padded to the next of a few declared lengths, and answers are cut back.
//
// Only a model's author knows that padding changes nothing (a mask is an input, or the padding value means "nothing here"), so it is declared,
// in config.pbtxt:  parameters { key: "length_buckets" value { string_value: "sequence: 16, 32, 64, 128; mask = 0, ids = 1" } }
// "sequence" is the dimension's symbol in the model; inputs that are not named are padded with 0. A request beyond the largest runs as it is.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/graph/tensor.h"
#include "serving/core/signature.h"

namespace tandem {

class LengthBuckets {
 public:
  // Throws InvalidArgument, saying what would be right, for a text of another form, a symbol that no input has, or that is the batch,
  // an input that the model does not have, and text inputs with the symbol.
  LengthBuckets(std::string_view text, const Signature& signature);

  // Pads `inputs`, which are in the order of the signature. What they were long before; nothing if they were left as they are: the length
  // is a bucket's already, or beyond the largest, or inputs differ in it (which the model will say).
  std::optional<int64_t> pad(std::vector<Tensor>& inputs) const;
  // The outputs of a request that had this length, of which `outputs` are padded; outputs without the symbol stay as they are.
  // `owner` holds what is returned.
  std::vector<ConstTensorView> cut(std::span<const ConstTensorView> outputs, int64_t length, std::vector<Tensor>& owner) const;

  // Ascending.
  const std::vector<int64_t>& lengths() const { return lengths_; }

 private:
  struct Place {
    size_t tensor;
    int axis;
    int64_t pad = 0;
  };
  void find_places(const Signature& signature);

  std::string symbol_;
  std::vector<int64_t> lengths_;
  std::map<std::string, int64_t, std::less<>> pads_;  // by input
  std::vector<Place> inputs_, outputs_;
};

}  // namespace tandem
