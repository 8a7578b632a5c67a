#include "models/data/digest.h"

#include <charconv>

#include "runtime/io/file.h"

namespace tandem {

Digest digest_of(std::string_view bytes) {
  const std::string hex = sha256(bytes);
  Digest digest{};
  for (size_t i = 0; i < digest.size(); ++i) std::from_chars(hex.data() + 16 * i, hex.data() + 16 * (i + 1), digest[i], 16);
  return digest;
}

}  // namespace tandem
