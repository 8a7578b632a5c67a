// Values that have one shape in every run, for certain.
//
// Dimensions that are numbers or symbols say it by themselves. Where a dimension or even the rank is open (what NonZero makes), a
// value made by an elementwise node still has the shape of its operands.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

class ShapeClasses {
 public:
  explicit ShapeClasses(const Graph& graph);

  int of(ValueId id) const { return classes_[static_cast<size_t>(id)]; }
  bool same(ValueId a, ValueId b) const { return of(a) == of(b); }
  // Whether `operand` certainly broadcasts to the shape of `result`, along the same axes in every run.
  bool broadcasts(ValueId operand, ValueId result) const;

 private:
  int class_of_named(const Dims& dims);
  // The class that all operands have that are more than one element; -1: there is none.
  int class_of_operands(const Node& node) const;
  int fresh() { return next_++; }

  const Graph& graph_;
  std::vector<int> classes_;  // by ValueId
  std::map<std::string, int> named_;
  int next_ = 0;
};

}  // namespace tandem
