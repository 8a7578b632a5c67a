// The text by which a gRPC call names a model's version.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace tandem {

// Nothing for the empty text: the server's choice. Throws InvalidArgument for what is no positive whole number.
std::optional<int64_t> parse_model_version(const std::string& text);

}  // namespace tandem
