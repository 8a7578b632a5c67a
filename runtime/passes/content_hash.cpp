#include "runtime/passes/content_hash.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace tandem {
namespace {

constexpr uint64_t kSeed = 0xcbf29ce484222325u;

uint64_t hash_bytes(uint64_t hash, std::string_view bytes) {
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
    uint64_t word;
    std::memcpy(&word, bytes.data(), 8);
    hash = mix(hash, word);
  }
  for (char c : bytes) hash = mix(hash, static_cast<unsigned char>(c));
  return hash;
}

// Of what is large only a piece from the middle: weights that differ do so nearly everywhere, and equality is checked anyway. One piece, since a
// look at a mapped file brings the 2 MiB around it into memory.
constexpr size_t kWholeUpTo = 4096, kPiece = 2048;

uint64_t hash_samples(uint64_t hash, std::string_view bytes) {
  return hash_bytes(hash, bytes.size() <= kWholeUpTo ? bytes : bytes.substr(bytes.size() / 2, kPiece));
}

struct Hasher {
  uint64_t operator()(int64_t v) const { return mix(kSeed, static_cast<uint64_t>(v)); }
  uint64_t operator()(float v) const { return mix(kSeed, std::bit_cast<uint32_t>(v)); }
  uint64_t operator()(const std::string& v) const { return hash_bytes(kSeed, v); }
  uint64_t operator()(const Tensor& v) const { return content_hash(v); }
  uint64_t operator()(const Subgraph& v) const { return mix(kSeed, reinterpret_cast<uintptr_t>(v.get())); }  // the very same one
  template <class T>
  uint64_t operator()(const std::vector<T>& list) const {
    uint64_t hash = kSeed;
    for (const T& element : list) hash = mix(hash, (*this)(element));
    return hash;
  }
};

bool same_bits(float a, float b) { return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b); }

struct Comparison {
  bool operator()(float a, float b) const { return same_bits(a, b); }
  bool operator()(const std::vector<float>& a, const std::vector<float>& b) const { return std::ranges::equal(a, b, same_bits); }
  bool operator()(const Tensor& a, const Tensor& b) const { return tandem::identical(a, b); }
  template <class T>
  bool operator()(const T& a, const T& b) const {
    return a == b;
  }
  template <class A, class B>
  bool operator()(const A&, const B&) const {
    return false;
  }
};

}  // namespace

uint64_t content_hash(const Tensor& tensor) {
  uint64_t hash = mix(kSeed, static_cast<uint64_t>(tensor.dtype()));
  for (int64_t dim : tensor.shape().dims()) hash = mix(hash, static_cast<uint64_t>(dim));
  if (tensor.dtype() != DType::kString)
    return hash_samples(hash, {reinterpret_cast<const char*>(tensor.view().data), tensor.bytes()});
  for (std::string_view text : tensor.as<std::string_view>()) hash = mix(hash_bytes(hash, text), text.size());
  return hash;
}

uint64_t content_hash(const Attribute& attribute) { return mix(std::visit(Hasher{}, attribute), attribute.index()); }

bool identical(const Attribute& a, const Attribute& b) { return std::visit(Comparison{}, a, b); }

}  // namespace tandem
