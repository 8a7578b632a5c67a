// The channels-last form of a node between Transposes, for layout_assignment.
#pragma once

#include <set>
#include <string>

#include "runtime/passes/permutation.h"

namespace tandem {

// Whether it is a convolution that has such a form: images of 1 to 3 spatial axes in f32 or 8 bits, weights that are constants.
bool has_channels_last_form(const Graph& graph, const Node& node);

// By this name a convolution is told from others; its channels-last form has a result of that name and a suffix. Empty where the first result is absent.
std::string result_name(const Graph& graph, const Node& node);

// Whether the node, a convolution or another one, is such a form, and the name of that whose form it is.
bool is_channels_last_form(const Graph& graph, const Node& node);
bool is_channels_last_conv(const Node& node);
std::string name_before(const Graph& graph, const Node& form);

// Rewrites all convolutions but those named, and the shuffles of channels if there is any. Returns the number of convolutions.
int write_channels_last(Graph& graph, const std::set<std::string>& left_alone);

}  // namespace tandem
