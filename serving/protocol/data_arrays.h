// The arrays that an inference request brings as the 'data' of its inputs, taken out of its JSON, so that no parser builds a tree of a million numbers.
// For this folder only.
//
// What is left is whole JSON where the k-th array reads [k]: it is valid, with these arrays, if and only if the request is. Both have to be parsed yet.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tandem {

struct DataArrays {
  std::string envelope;                  // the request without them
  std::vector<std::string_view> arrays;  // "[...]" each, brackets matched; of the request's text
};

// Takes out every array that stands at inputs[i].data, and no other. Throws InvalidArgument where one is nested deeper than `depth` levels of the
// request. JSON that is none may come out in any way that is none either.
DataArrays take_data_arrays(std::string_view json, size_t depth);

}  // namespace tandem
