// TfIdfVectorizer (ONNX 9): counts of n-grams (TF), whether they are there times weights (IDF), or both (TFIDF). Weights go by
// the column of the output, as in onnxruntime and ONNX's reference (the specification says: by n-gram; the same where columns
// follow the pool).
#include <memory>

#include "kernels/api/ngrams.h"
#include "runtime/graph/contexts.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"max_gram_length", "max_skip_count", "min_gram_length", "mode",   "ngram_counts",
                                            "ngram_indexes",   "pool_int64s",    "pool_strings",    "weights"};

NgramPool pool_of(const NodeContext& node) {
  const auto texts = node.get_strings("pool_strings");
  const auto numbers = node.get_ints("pool_int64s"), starts = node.get_ints("ngram_counts"),
             columns = node.get_ints("ngram_indexes");
  node.require(texts.empty() != numbers.empty(), "exactly one of pool_strings and pool_int64s is needed (strings, ints)",
               texts.size(), numbers.size());
  const NgramRange range{node.get_int("min_gram_length", 0), node.get_int("max_gram_length", 0),
                         node.get_int("max_skip_count", 0)};
  node.require(range.shortest >= 1 && range.shortest <= range.longest && range.most_skipped >= 0,
               "lengths must be positive and in order, max_skip_count must not be negative (shortest, longest, skipped)",
               range.shortest, range.longest, range.most_skipped);
  node.require(range.longest <= static_cast<int64_t>(starts.size()),
               "ngram_counts does not reach max_gram_length (counts, length)", starts.size(), range.longest);
  const Tensor items = texts.empty() ? Tensor::of<int64_t>({static_cast<int64_t>(numbers.size())}, numbers)
                                     : Tensor::strings({static_cast<int64_t>(texts.size())}, std::span<const std::string>(texts));
  return NgramPool(items.view(), starts, columns, range);
}

std::string mode_of(const NodeContext& node) {
  std::string mode = node.get_string("mode", "");
  node.require(mode == "TF" || mode == "IDF" || mode == "TFIDF", "mode must be TF, IDF or TFIDF", mode);
  return mode;
}

void infer(InferenceContext& node) {
  const DType type = node.dtype(0);
  const bool text = !node.get_strings("pool_strings").empty();
  node.require(text ? type == DType::kString : type == DType::kI32 || type == DType::kI64,
               "input and pool have different types (input)", name(type));
  mode_of(node);
  int64_t width = 0;
  for (int64_t column : node.get_ints("ngram_indexes")) width = std::max(width, checked_add(column, 1, "columns"));
  std::optional<Dims> dims;
  if (node.has_rank(0)) {
    node.require(node.rank(0) <= 2, "input must be a row or rows of items (rank)", node.rank(0));
    dims = node.rank(0) == 2 ? Dims{node.dims(0)[0], Dim(width)} : Dims{Dim(width)};
  }
  node.set_output(0, DType::kF32, std::move(dims));
}

BoundKernel bind(const BindContext& node) {
  const auto pool = std::make_shared<const NgramPool>(pool_of(node));
  const std::string mode = mode_of(node);
  auto weights = mode == "TF" ? std::vector<float>() : node.get_floats("weights");
  node.require(weights.empty() || static_cast<int64_t>(weights.size()) >= pool->width(),
               "there are fewer weights than columns (weights, columns)", weights.size(), pool->width());
  const Shape& x = node.shape(0);
  const int64_t row = x.rank() == 0 ? 1 : x[x.rank() - 1];
  return {.run =
              [pool, weights = std::move(weights), once = mode == "IDF"](const KernelContext& context, Inputs in, Outputs out) {
                cpu::count_ngrams(context, in[0], *pool, out[0]);
                if (weights.empty() && !once) return;
                const auto y = out[0].as<float>();
                const auto width = static_cast<size_t>(pool->width());
                for (size_t i = 0; i < y.size(); ++i) {
                  if (once) y[i] = y[i] > 0 ? 1.0f : 0.0f;
                  if (!weights.empty()) y[i] *= weights[i % width];
                }
              },
          .workspace = cpu::ngram_workspace(row, node.threads())};
}

constexpr OpDef tf_idf_vectorizer_op = {
    .name = "TfIdfVectorizer", .since = 9, .attributes = kAttributes, .infer = infer, .cpu = bind};

constexpr const OpDef* kOps[] = {&tf_idf_vectorizer_op};

}  // namespace

extern const OpFamily tf_idf_vectorizer_ops;
constinit const OpFamily tf_idf_vectorizer_ops = kOps;

}  // namespace tandem
