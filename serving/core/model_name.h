// What may be called a model: the name of a folder, a part of a URL, the value of a label.
#pragma once

#include <string_view>

namespace tandem {

// 1 to 128 of letters, digits, '_', '-', '.', '+', '=', not beginning with a dot.
bool valid_model_name(std::string_view name);

}  // namespace tandem
