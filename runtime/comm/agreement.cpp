// At the start of a job: a rank with another binary, configuration or seed is named before it can spoil a sum.

#include "kernels/base/error.h"
#include "runtime/comm/communicator.h"

namespace tandem {
namespace {

// name and value, each behind its length, so that no content can pass for another.
std::string encode(std::span<const Fact> facts) {
  std::string blob;
  for (const Fact& fact : facts)
    for (std::string_view text : {fact.name, std::string_view(fact.value)})
      blob.append(std::to_string(text.size())).append(":").append(text);
  return blob;
}

// Takes one text off the front of `blob`; "(absent)" at its end, or where another version of the program wrote something else.
std::string take(std::string_view& blob) {
  size_t size = 0, at = 0;
  while (at < blob.size() && blob[at] >= '0' && blob[at] <= '9' && size < blob.size())
    size = size * 10 + static_cast<size_t>(blob[at++] - '0');
  if (at == 0 || at == blob.size() || blob[at] != ':' || size > blob.size() - at - 1) {
    blob = {};
    return "(absent)";
  }
  const std::string text(blob.substr(at + 1, size));
  blob.remove_prefix(at + 1 + size);
  return text;
}

[[noreturn]] void fail_disagreement(std::string_view first, std::string_view other, size_t rank) {
  std::string name, mine, theirs;
  do {
    name = take(first);
    mine = take(first);
    const std::string other_name = take(other);
    theirs = take(other);
    if (name != other_name) {
      mine = name;
      theirs = other_name;
      name = "what to compare";
    }
  } while (mine == theirs && !(first.empty() && other.empty()));
  fail(ErrorCode::kInvalidArgument,
       "ranks disagree on " + name + ": rank 0 has '" + mine + "', rank " + std::to_string(rank) + " has '" + theirs + "'");
}

}  // namespace

void check_agreement(Communicator& communicator, std::span<const Fact> facts) {
  const std::vector<std::string> blobs = communicator.all_gather(encode(facts));
  for (size_t rank = 1; rank < blobs.size(); ++rank)
    if (blobs[rank] != blobs[0]) fail_disagreement(blobs[0], blobs[rank], rank);
}

}  // namespace tandem
