#include "serving/monitor/server_log.h"

#include <gmock/gmock.h>

#include "kernels/base/error.h"

namespace tandem {
namespace {

using testing::ElementsAre;
using testing::MatchesRegex;

struct Captured {
  std::vector<std::string> lines;
  ServerLog log{[this](const std::string& line) { lines.push_back(line); }};
};

TEST(ServerLog, SettingsChooseWhatIsWritten) {
  Captured to;
  to.log.write(Severity::kInfo, "a");
  to.log.write(Severity::kVerbose, "b");
  EXPECT_THAT(to.lines, ElementsAre("a"));
  to.log.update({.info = false, .verbose_level = 1});
  EXPECT_TRUE(to.log.is_verbose());
  to.log.write(Severity::kInfo, "c");
  to.log.write(Severity::kVerbose, "d");
  to.log.write(Severity::kError, "e");
  EXPECT_THAT(to.lines, ElementsAre("a", "d", "e"));
  EXPECT_THROW(to.log.update({.info = true, .verbose_level = -1}), Error);
  EXPECT_FALSE(to.log.settings().info) << "a refused change changed something";
}

TEST(ServerLog, TimesComeBefore) {
  Captured to;
  to.log.update({.format = LogSettings::Format::kIso8601});
  to.log.write(Severity::kWarning, "text");
  EXPECT_THAT(to.lines.at(0), MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{3}Z W text"));
}

// A client's text can neither begin a line of its own nor steer a terminal.
TEST(ServerLog, ControlCharactersAreWrittenOut) {
  Captured to;
  to.log.write(Severity::kInfo, "a\r\nfake \x1b[31m\x7f\xc3\xbc");
  EXPECT_THAT(to.lines, ElementsAre("a\\x0d\\x0afake \\x1b[31m\\x7f\xc3\xbc"));
  to.log.write(Severity::kInfo, std::string(1 << 20, 'x'));
  EXPECT_LT(to.lines.at(1).size(), 2'100u);
}

}  // namespace
}  // namespace tandem
