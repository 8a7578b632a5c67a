// Ops on text, and those whose output's length is in the data. Expectations are written out, or are those of Python (re,
// str.split).
#include <limits>

#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

using Texts = std::vector<std::string>;
using Ints = std::vector<int64_t>;
using Floats = std::vector<float>;

Reference all(std::vector<Tensor> expected) {
  return [=](const std::vector<Tensor>&) { return expected; };
}

void add_strings(Cases& cases) {
  cases.push_back({.op = "StringConcat",
                   .inputs = {strings({2, 1}, {"a", "ü"}), strings({3}, {"x", "", "yz"})},
                   .reference = fixed(strings({2, 3}, {"ax", "a", "ayz", "üx", "ü", "üyz"}))});
  cases.push_back({.op = "StringConcat",
                   .what = "scalars",
                   .inputs = {strings({}, {"a"}), strings({}, {"b"})},
                   .reference = fixed(strings({}, {"ab"}))});
  cases.push_back({.op = "StringConcat",
                   .what = "nothing",
                   .inputs = {strings({0}, {}), strings({1}, {"b"})},
                   .reference = fixed(strings({0}, {}))});
  const auto split = [&](const std::string& what, const Tensor& x, Attributes attributes, const Tensor& parts,
                         const Tensor& counts) {
    cases.push_back({.op = "StringSplit",
                     .what = what,
                     .inputs = {x},
                     .attributes = std::move(attributes),
                     .outputs = 2,
                     .reference = all({parts, counts})});
  };
  split("delimiter", strings({3}, {"a,b,,c", "", "x"}), {{"delimiter", std::string(",")}},
        strings({3, 4}, {"a", "b", "", "c", "", "", "", "", "x", "", "", ""}), i64({4, 1, 1}));
  split("limit", strings({2}, {"a--b--c", "--"}), {{"delimiter", std::string("--")}, {"maxsplit", int64_t{1}}},
        strings({2, 2}, {"a", "b--c", "", ""}), i64({2, 2}));
  split("blanks", strings({3}, {"  a \t b\n", "c", "  "}), {}, strings({3, 2}, {"a", "b", "c", "", "", ""}), i64({2, 1, 0}));
  split("blanks with a limit", strings({2}, {" a  b  c ", "d"}), {{"maxsplit", int64_t{1}}},
        strings({2, 2}, {"a", "b  c", "d", ""}), i64({2, 1}));
  split("nothing", strings({0}, {}), {}, strings({0, 0}, {}), i64(Ints{}));
  const auto match = [&](const std::string& what, const std::string& pattern, const Texts& texts,
                         const std::vector<bool>& expected) {
    const Shape shape{static_cast<int64_t>(texts.size())};
    cases.push_back({.op = "RegexFullMatch",
                     .what = what,
                     .inputs = {strings(shape, texts)},
                     .attributes = {{"pattern", pattern}},
                     .reference = fixed(booleans(shape, expected))});
  };
  match("whole", "a+b?", {"aa", "ab", "abb", "xab", ""}, {true, true, false, false, false});
  match("classes", "[\\w.]+@(?:\\w+\\.)+(com|org)", {"a.b@c.org", "a@b", "@c.com"}, {true, false, false});
  match("code points", "ü.", {"üé", "ü"}, {true, false});
  const auto normal = [&](const std::string& what, Attributes attributes, const Tensor& x, const Tensor& y) {
    cases.push_back(
        {.op = "StringNormalizer", .what = what, .inputs = {x}, .attributes = std::move(attributes), .reference = fixed(y)});
  };
  const Tensor words = strings({4}, {"Monday", "tuesday", "ÄRGER", "Monday"});
  normal("nothing to do", {}, words, words);
  normal("lower", {{"case_change_action", std::string("LOWER")}}, words, strings({4}, {"monday", "tuesday", "ärger", "monday"}));
  normal(
      "upper",
      {{"case_change_action", std::string("UPPER")}, {"is_case_sensitive", int64_t{1}}, {"stopwords", Texts{"monday", "Monday"}}},
      words, strings({2}, {"TUESDAY", "ÄRGER"}));
  normal("any case", {{"stopwords", Texts{"MONDAY", "ärger"}}}, words, strings({1}, {"tuesday"}));
  normal("all gone", {{"stopwords", Texts{"a"}}}, strings({1, 2}, {"a", "A"}), strings({1, 1}, {""}));
  normal("no UTF-8", {{"case_change_action", std::string("UPPER")}}, strings({1}, {"a\xFF\xC3"}), strings({1}, {"A\xFF\xC3"}));
}

void add_tokens(Cases& cases) {
  const auto tokens = [&](const std::string& what, const Tensor& x, Attributes attributes, const Tensor& expected) {
    attributes.insert({{"pad_value", std::string("#")}, {"mincharnum", int64_t{1}}, {"mark", int64_t{0}}});  // what is not given
    cases.push_back({.op = "com.microsoft.Tokenizer",
                     .what = what,
                     .inputs = {x},
                     .attributes = std::move(attributes),
                     .reference = fixed(expected),
                     .round_trip = false});
  };
  tokens("separator", strings({3}, {"a b", "cü  dd e", ""}), {{"separators", Texts{" "}}},
         strings({3, 3}, {"a", "b", "#", "cü", "dd", "e", "#", "#", "#"}));
  tokens("a table", strings({2, 1}, {"x,y", ","}), {{"separators", Texts{","}}, {"pad_value", std::string()}},
         strings({2, 1, 2}, {"x", "y", "", ""}));
  tokens("separators one after another", strings({1}, {"ab1cd 22e"}), {{"separators", Texts{"[ ]", "\\d+"}}},
         strings({1, 3}, {"ab", "cd", "e"}));
  tokens("long enough", strings({2}, {"ab c üü", "d"}), {{"separators", Texts{" "}}, {"mincharnum", int64_t{2}}},
         strings({2, 2}, {"ab", "üü", "#", "#"}));
  tokens("the longest separator", strings({1}, {"aab ba"}), {{"separators", Texts{"a|ab"}}}, strings({1, 1}, {" b"}));
  tokens("the longest token", strings({2}, {"aab ba", "?"}), {{"tokenexp", std::string("a|ab")}},
         strings({2, 3}, {"a", "ab", "a", "#", "#", "#"}));
  tokens("empty tokens", strings({1}, {"abab"}), {{"tokenexp", std::string("b*")}}, strings({1, 2}, {"b", "b"}));
  tokens("characters", strings({2}, {"aü", "\n"}), {{"separators", Texts{""}}}, strings({2, 2}, {"a", "ü", "\n", "#"}));
  tokens("marked", strings({2}, {"ab c", "d"}), {{"separators", Texts{" "}}, {"mark", int64_t{1}}},
         strings({2, 4}, {"\x02", "ab", "c", "\x03", "\x02", "d", "\x03", "#"}));
  tokens("marked characters", strings({1}, {"ab"}), {{"tokenexp", std::string(".")}, {"mark", int64_t{1}}},
         strings({1, 4}, {"\x02", "a", "b", "\x03"}));
  tokens("no token", strings({2}, {"", " "}), {{"separators", Texts{" "}}, {"mark", int64_t{1}}}, strings({2, 0}, {}));
  tokens("no text", strings({0}, {}), {{"separators", Texts{" "}}}, strings({0, 0}, {}));
}

// Hashes of the published test vectors of MurmurHash3_x86_32; numbers by their bytes.
void add_hashes(Cases& cases) {
  const auto hashes = [&](const std::string& what, const Tensor& x, Attributes attributes, const Tensor& expected) {
    cases.push_back({.op = "com.microsoft.MurmurHash3",
                     .what = what,
                     .inputs = {x},
                     .attributes = std::move(attributes),
                     .reference = fixed(expected),
                     .round_trip = false});
  };
  hashes("text", strings({4}, {"", "test", "Hello, world!", "The quick brown fox jumps over the lazy dog"}), {},
         as(DType::kU32, i64({0, 0xba6bd213, 0xc0363e43, 0x2e4ff723})));
  hashes("seed", strings({3}, {"", "test", "aaa"}), {{"seed", int64_t{0x9747b28c}}},
         as(DType::kU32, i64({0xebb6c228, 0x704b81dc, 0x283e0130})));
  hashes("signed", strings({1}, {"test"}), {{"positive", int64_t{0}}},
         as(DType::kI32, i64({int64_t{0xba6bd213} - (int64_t{1} << 32)})));
  const Tensor four = as(DType::kI32, i64({0x61616161})), zeros = i64(Shape{1}, {0});
  hashes("i32", four, {{"seed", int64_t{0x9747b28c}}}, as(DType::kU32, i64({0x5a97808a})));  // of "aaaa"
  hashes("f32", as(DType::kF32, zeros), {}, as(DType::kU32, i64({0x2362f9de})));             // of four zero bytes
  hashes("i64", zeros, {}, as(DType::kU32, i64({0x63852afc})));                              // of eight
}

void add_ngrams(Cases& cases) {
  const Attributes pool = {{"pool_int64s", Ints{2, 3, 5, 4, 5, 6, 7, 8, 6, 7}},
                           {"ngram_counts", Ints{0, 4}},
                           {"ngram_indexes", Ints{0, 1, 2, 3, 4, 5, 6}},
                           {"min_gram_length", int64_t{1}},
                           {"max_gram_length", int64_t{2}},
                           {"max_skip_count", int64_t{1}}};
  const Tensor x = i64({2, 6}, {1, 1, 3, 3, 3, 7, 8, 6, 7, 5, 6, 8});
  const auto with = [&](Attributes more) {
    Attributes attributes = pool;
    attributes.insert(more.begin(), more.end());
    return attributes;
  };
  // Pairs (5, 6), (7, 8), (6, 7): next to each other, or with one between.
  const Floats counts = {0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1};
  for (DType type : {DType::kI64, DType::kI32})
    cases.push_back({.op = "TfIdfVectorizer",
                     .what = "TF " + std::string(name(type)),
                     .inputs = {as(type, x)},
                     .attributes = with({{"mode", std::string("TF")}}),
                     .reference = fixed(f32({2, 7}, counts))});
  const Floats weights = {1, 2, 3, 4, 5, 6, 7};
  cases.push_back({.op = "TfIdfVectorizer",
                   .what = "IDF",
                   .inputs = {x},
                   .attributes = with({{"mode", std::string("IDF")}, {"weights", weights}}),
                   .reference = fixed(f32({2, 7}, {0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 5, 0, 7}))});
  cases.push_back({.op = "TfIdfVectorizer",
                   .what = "TFIDF",
                   .inputs = {x},
                   .attributes = with({{"mode", std::string("TFIDF")}, {"weights", weights}}),
                   .reference = fixed(f32({2, 7}, {0, 6, 0, 0, 0, 0, 0, 0, 0, 3, 0, 5, 0, 7}))});
  cases.push_back({.op = "TfIdfVectorizer",
                   .what = "text",
                   .inputs = {strings({4}, {"a", "b", "a", "b"})},
                   .attributes = {{"pool_strings", Texts{"a", "b", "b", "a"}},
                                  {"ngram_counts", Ints{0, 2}},
                                  {"ngram_indexes", Ints{1, 2, 0}},
                                  {"min_gram_length", int64_t{2}},
                                  {"max_gram_length", int64_t{2}},
                                  {"max_skip_count", int64_t{0}},
                                  {"mode", std::string("TF")}},
                   .reference = fixed(f32({3}, {1, 0, 0}))});
}

void add_selections(Cases& cases) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  cases.push_back(
      {.op = "NonZero", .inputs = {f32({2, 3}, {0, 1, -0.0f, nan, 0, 2})}, .reference = fixed(i64({2, 3}, {0, 1, 1, 1, 0, 2}))});
  cases.push_back({.op = "NonZero",
                   .what = "bool",
                   .inputs = {booleans({4}, {true, false, false, true})},
                   .reference = fixed(i64({1, 2}, {0, 3}))});
  cases.push_back({.op = "NonZero", .what = "scalar", .inputs = {i64({}, {7})}, .reference = fixed(i64({0, 1}, {}))});
  cases.push_back({.op = "NonZero", .what = "none", .inputs = {i64({2, 2}, {0, 0, 0, 0})}, .reference = fixed(i64({2, 0}, {}))});
  const Tensor x = i64({3, 2}, {1, 2, 3, 4, 5, 6});
  cases.push_back({.op = "Compress",
                   .what = "axis 0",
                   .inputs = {x, booleans({3}, {false, true, true})},
                   .attributes = {{"axis", int64_t{0}}},
                   .reference = fixed(i64({2, 2}, {3, 4, 5, 6}))});
  cases.push_back({.op = "Compress",
                   .what = "short",
                   .inputs = {x, booleans({1}, {true})},
                   .attributes = {{"axis", int64_t{-1}}},
                   .reference = fixed(i64({3, 1}, {1, 3, 5}))});
  cases.push_back({.op = "Compress",
                   .what = "flat text",
                   .inputs = {strings({2, 2}, {"a", "b", "c", "d"}), booleans({4}, {true, false, false, true})},
                   .reference = fixed(strings({2}, {"a", "d"}))});
  for (DType type : {DType::kF32, DType::kI64, DType::kU8, DType::kF64})
    for (int64_t sorted : {0, 1})
      cases.push_back(
          {.op = "Unique",
           .what = std::string(name(type)) + (sorted ? " sorted" : " as they come"),
           .inputs = {as(type, i64({6}, {2, 1, 1, 3, 4, 3}))},
           .attributes = {{"sorted", sorted}},
           .outputs = 4,
           .reference = sorted ? all({i64({1, 2, 3, 4}), i64({1, 0, 3, 4}), i64({1, 0, 0, 2, 3, 2}), i64({2, 1, 2, 1})})
                               : all({i64({2, 1, 3, 4}), i64({0, 1, 3, 4}), i64({0, 1, 1, 2, 3, 2}), i64({1, 2, 2, 1})})});
  cases.push_back({.op = "Unique",
                   .what = "nan",
                   .inputs = {f32({5}, {nan, 1, -0.0f, nan, 0})},
                   .outputs = 4,
                   .reference = all({f32({3}, {0, 1, nan}), i64({2, 1, 0}), i64({2, 1, 0, 2, 0}), i64({2, 1, 2})})});
  cases.push_back({.op = "Unique",
                   .what = "axis",
                   .inputs = {i64({2, 3}, {5, 1, 5, 0, 2, 0})},
                   .attributes = {{"axis", int64_t{1}}},
                   .outputs = 4,
                   .reference = all({i64({2, 2}, {1, 5, 2, 0}), i64({1, 0}), i64({1, 0, 1}), i64({1, 2})})});
  cases.push_back({.op = "Unique",
                   .what = "text",
                   .inputs = {strings({3}, {"b", "a", "b"})},
                   .outputs = 4,
                   .reference = all({strings({2}, {"a", "b"}), i64({1, 0}), i64({1, 0, 1}), i64({1, 2})})});
  cases.push_back({.op = "Unique",
                   .what = "nothing",
                   .inputs = {i64(Ints{})},
                   .outputs = 4,
                   .reference = all({i64(Ints{}), i64(Ints{}), i64(Ints{}), i64(Ints{})})});
}

}  // namespace

void add_text_cases(Cases& cases) {
  add_strings(cases);
  add_tokens(cases);
  add_hashes(cases);
  add_ngrams(cases);
  add_selections(cases);
}

}  // namespace tandem::conformance
