// Attributes and inputs that a later version of an op added while all else stayed: Tandem has one definition for all of these
// versions.
#pragma once

#include <string_view>

#include "runtime/graph/graph.h"

namespace tandem {

// Takes from a node what `opset` has no word for, where it says no more than its absence does.
void drop_younger_words(Node& node, int opset);

// The first opset with a word for all that a node says.
int first_opset_with_words(const Node& node);

// What the node says by a word that `opset` does not have; "" if nothing.
std::string_view younger_word(const Node& node, int opset);

}  // namespace tandem
