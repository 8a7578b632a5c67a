// The list of operators: sorted, whole, and searched by version.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <tuple>

#include "kernels/base/error.h"
#include "runtime/graph/op_def.h"
#include "runtime/ops/all_ops.h"
#include "tests/support/source_dir.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

std::set<std::string> matches(const std::filesystem::path& file, const std::string& pattern) {
  std::ifstream stream(file);
  const std::string text(std::istreambuf_iterator<char>(stream), {});
  const std::regex regex(pattern);
  std::set<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it) found.insert((*it)[1]);
  return found;
}

TEST(AllOps, AreSortedAndVersionsDoNotOverlap) {
  const auto ops = all_ops();
  for (size_t i = 1; i < ops.size(); ++i) {
    const OpDef &a = *ops[i - 1], &b = *ops[i];
    EXPECT_LT(std::tie(a.domain, a.name, a.since), std::tie(b.domain, b.name, b.since));
    if (a.domain == b.domain && a.name == b.name) {
      EXPECT_EQ(a.until, b.since) << a.name;
    }
  }
}

TEST(AllOps, HoldEveryDefinitionOfTheFolder) {
  const std::filesystem::path folder = source_dir() / "runtime/ops";
  std::set<std::string> families;
  size_t defined = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".cpp" || entry.path().filename() == "all_ops.cpp") continue;
    const std::set<std::string> ops = matches(entry.path(), R"(\nconstexpr OpDef (\w+) =)");
    EXPECT_EQ(matches(entry.path(), R"(&(\w+_op(?:_\d+)?)\b)"), ops) << entry.path();
    families.merge(matches(entry.path(), R"(\nconstinit const OpFamily (\w+))"));
    defined += ops.size();
  }
  EXPECT_EQ(matches(folder / "all_ops.cpp", R"(&(\w+))"), families);
  EXPECT_EQ(all_ops().size(), defined);
}

TEST(AllOps, HaveWhatTheRuntimeNeeds) {
  for (const OpDef* def : all_ops()) {
    EXPECT_NE(def->infer, nullptr) << def->name;
    EXPECT_LE(def->min_inputs, def->max_inputs) << def->name;
    const bool is_view = !def->aliases.empty() && def->aliases[0].kind == AliasKind::kView;
    EXPECT_TRUE(def->cpu != nullptr || def->evaluate != nullptr || is_view) << def->name;
  }
}

TEST(FindOp, TakesTheDefinitionInForce) {
  EXPECT_EQ(find_op("", "ReduceSum", 12).since, 1);
  EXPECT_EQ(find_op("", "ReduceSum", 13).since, 13);
  EXPECT_EQ(find_op("ai.onnx", "ReduceSum", 21).since, 13);
  EXPECT_EQ(&newest_op("ReduceSum"), &find_op("", "ReduceSum", kOnnxOpset));
}

std::string message_of(std::string_view domain, std::string_view name, int opset) {
  try {
    find_op(domain, name, opset);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "";
}

TEST(FindOp, SaysWhatIsUnknown) {
  EXPECT_THAT(message_of("", "Sofmax", 21), HasSubstr("did you mean 'Softmax'"));
  EXPECT_THAT(message_of("", "Gelu", 19), HasSubstr("no definition at this opset"));
  EXPECT_THAT(message_of("com.example", "Relu", 1), HasSubstr("domain"));
}

}  // namespace
}  // namespace tandem
