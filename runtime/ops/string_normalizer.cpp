// StringNormalizer (ONNX 10): takes stop words out of a list of words, and brings the others to upper or lower case. Case is
// Unicode's simple mapping, one code point to one, whatever the attribute locale says; bytes that are no UTF-8 stay.
#include <locale.h>
#include <wctype.h>

#include <set>
#include <string>

#include "runtime/graph/evaluate_context.h"
#include "runtime/graph/op_def.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"case_change_action", "is_case_sensitive", "locale", "stopwords"};

enum class Case : uint8_t { kAsIs, kLower, kUpper };

// The C library's table of cases, which every glibc has built in.
class CaseTable {
 public:
  CaseTable() : locale_(newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
    ensure(locale_ != nullptr, "the C library has no locale C.UTF-8");
  }
  ~CaseTable() { freelocale(locale_); }
  CaseTable(const CaseTable&) = delete;
  CaseTable& operator=(const CaseTable&) = delete;

  std::string changed(std::string_view text, Case to) const;

 private:
  locale_t locale_;
};

// The length of the UTF-8 sequence that starts here, and its code point; 0 if it is none.
size_t decode(std::string_view text, char32_t& code) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const size_t length = byte(0) < 0x80 ? 1 : byte(0) >> 5 == 0x6 ? 2 : byte(0) >> 4 == 0xE ? 3 : byte(0) >> 3 == 0x1E ? 4 : 0;
  if (length == 0 || length > text.size()) return 0;
  code = length == 1 ? byte(0) : byte(0) & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if (byte(i) >> 6 != 0x2) return 0;
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  return length;
}

void encode(char32_t code, std::string& text) {
  if (code < 0x80) {
    text += static_cast<char>(code);
    return;
  }
  const int length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  text += static_cast<char>(0xFF00u >> length | code >> 6 * (length - 1));
  for (int i = length - 2; i >= 0; --i) text += static_cast<char>(0x80u | (code >> 6 * i & 0x3Fu));
}

std::string CaseTable::changed(std::string_view text, Case to) const {
  if (to == Case::kAsIs) return std::string(text);
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    char32_t code = 0;
    const size_t length = decode(text, code);
    if (length == 0) {
      result += text[0];
    } else {
      const auto wide = static_cast<wint_t>(code);
      encode(static_cast<char32_t>(to == Case::kLower ? towlower_l(wide, locale_) : towupper_l(wide, locale_)), result);
    }
    text.remove_prefix(std::max<size_t>(1, length));
  }
  return result;
}

Case case_of(const NodeContext& node) {
  const std::string action = node.get_string("case_change_action", "NONE");
  if (action == "LOWER") return Case::kLower;
  if (action == "UPPER") return Case::kUpper;
  node.require(action == "NONE", "case_change_action must be LOWER, UPPER or NONE", action);
  return Case::kAsIs;
}

void infer(InferenceContext& node) {
  node.require_dtype(0, DType::kString);
  case_of(node);
  std::optional<Dims> dims;
  if (node.has_rank(0)) {
    dims = node.dims(0);
    node.require(dims->size() == 1 || (dims->size() == 2 && ((*dims)[0].size == 1 || !(*dims)[0].known())),
                 "input must be a list of words or one row of them", to_string(*dims));
    if (dims->size() == 2) (*dims)[0] = Dim(1);
    dims->back() = Dim();
  }
  node.set_output(0, DType::kString, std::move(dims));
}

void evaluate(EvaluateContext& node) {
  const Tensor& x = node.tensor(0);
  const int rank = x.shape().rank();
  node.require(rank == 1 || (rank == 2 && x.shape()[0] == 1), "input must be a list of words or one row of them",
               to_string(x.shape()));
  const CaseTable table;
  const bool exact = node.get_int("is_case_sensitive", 0) != 0;
  const Case compared = exact ? Case::kAsIs : Case::kLower, action = case_of(node);
  std::set<std::string, std::less<>> stop_words;
  for (const std::string& word : node.get_strings("stopwords")) stop_words.insert(table.changed(word, compared));
  std::vector<std::string> words;
  for (std::string_view word : x.as<std::string_view>())
    if (!stop_words.contains(table.changed(word, compared))) words.push_back(table.changed(word, action));
  if (words.empty()) words.emplace_back();  // not an empty tensor: one empty text
  const auto count = static_cast<int64_t>(words.size());
  node.set_output(0, Tensor::strings(rank == 1 ? Shape{count} : Shape{1, count}, words));
}

constexpr OpDef string_normalizer_op = {
    .name = "StringNormalizer", .since = 10, .attributes = kAttributes, .infer = infer, .evaluate = evaluate};

constexpr const OpDef* kOps[] = {&string_normalizer_op};

}  // namespace

extern const OpFamily string_normalizer_ops;
constinit const OpFamily string_normalizer_ops = kOps;

}  // namespace tandem
