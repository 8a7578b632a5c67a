// MurmurHash3 of onnxruntime (domain com.microsoft), which skl2onnx writes for FeatureHasher: 32 bits of each element's bytes,
// texts without an end mark. Algorithm: MurmurHash3_x86_32 of Austin Appleby, public domain.
#include <bit>
#include <cstring>

#include "runtime/graph/contexts.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"positive", "seed"};

constexpr uint32_t mixed(uint32_t block) { return std::rotl(block * 0xcc9e2d51u, 15) * 0x1b873593u; }

uint32_t hash(std::string_view bytes, uint32_t seed) {
  uint32_t h = seed;
  size_t at = 0;
  for (; at + 4 <= bytes.size(); at += 4) {
    uint32_t block;
    std::memcpy(&block, bytes.data() + at, 4);
    h = std::rotl(h ^ mixed(block), 13) * 5 + 0xe6546b64u;
  }
  uint32_t tail = 0;
  for (size_t i = bytes.size(); i-- > at;) tail = tail << 8 | static_cast<unsigned char>(bytes[i]);
  h ^= mixed(tail) ^ static_cast<uint32_t>(bytes.size());
  h = (h ^ h >> 16) * 0x85ebca6bu;
  h = (h ^ h >> 13) * 0xc2b2ae35u;
  return h ^ h >> 16;
}

void infer(InferenceContext& node) {
  const DType type = node.dtype(0);
  const bool integer = type == DType::kI32 || type == DType::kU32 || type == DType::kI64 || type == DType::kU64;
  node.require(integer || type == DType::kF32 || type == DType::kF64 || type == DType::kString,
               "input must be text, or numbers of 32 or 64 bits (type)", name(type));
  const DType hashes = node.get_int("positive", 1) != 0 ? DType::kU32 : DType::kI32;
  node.set_output(0, hashes, node.has_rank(0) ? std::optional(node.dims(0)) : std::nullopt);
}

BoundKernel bind(const BindContext& node) {
  const auto seed = static_cast<uint32_t>(node.get_int("seed", 0));
  return {.run = [seed](const KernelContext&, Inputs in, Outputs out) {
    auto* hashes = reinterpret_cast<uint32_t*>(out[0].data);
    const auto* bytes = reinterpret_cast<const char*>(in[0].data);
    const auto count = static_cast<size_t>(in[0].elements());
    if (in[0].dtype == DType::kString) {
      const auto texts = in[0].as<std::string_view>();
      for (size_t i = 0; i < count; ++i) hashes[i] = hash(texts[i], seed);
      return;
    }
    const size_t size = size_of(in[0].dtype);
    for (size_t i = 0; i < count; ++i) hashes[i] = hash({bytes + i * size, size}, seed);
  }};
}

constexpr OpDef murmur_hash_op = {
    .name = "MurmurHash3", .domain = "com.microsoft", .attributes = kAttributes, .infer = infer, .cpu = bind};

constexpr const OpDef* kOps[] = {&murmur_hash_op};

}  // namespace

extern const OpFamily murmur_hash_ops;
constinit const OpFamily murmur_hash_ops = kOps;

}  // namespace tandem
