#include "models/report/report.h"

#include <gmock/gmock.h>

#include "models/report/html.h"
#include "models/report/svg_plot.h"
#include "tests/models/report/sample_report.h"

namespace tandem {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// Whether `text` is well-formed XML as far as this page uses it: elements closed in order, attributes quoted, only known
// entities. Gives "" or what is wrong.
class XmlCheck {
 public:
  explicit XmlCheck(std::string_view text) : text_(text) {}

  std::string run() {
    if (text_.starts_with("<!DOCTYPE html>")) at_ = 15;
    while (at_ < text_.size() && error_.empty()) text_[at_] == '<' ? tag() : character();
    if (error_.empty() && !open_.empty()) error_ = "never closed: " + open_.back();
    return error_;
  }

 private:
  void character() {
    if (text_[at_] == '&') {
      const std::string_view entity = text_.substr(at_, text_.find(';', at_) - at_ + 1);
      for (std::string_view known : {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"})
        if (entity == known) return void(at_ += entity.size());
      error_ = "bare & before " + std::string(text_.substr(at_, 20));
    }
    ++at_;
  }

  void tag() {
    const bool closing = text_.substr(at_).starts_with("</");
    at_ += closing ? 2 : 1;
    const std::string name = word();
    if (name.empty()) return void(error_ = "bare < before " + std::string(text_.substr(at_, 20)));
    if (closing) {
      if (open_.empty() || open_.back() != name) return void(error_ = "closes another element: " + name);
      open_.pop_back();
    }
    while (at_ < text_.size() && text_[at_] == ' ') attribute();
    const bool empty = text_.substr(at_).starts_with("/>");
    if (!empty && !text_.substr(at_).starts_with(">")) return void(error_ = "tag does not end: " + name);
    at_ += empty ? 2 : 1;
    if (!closing && !empty) open_.push_back(name);
  }

  void attribute() {
    ++at_;
    const std::string name = word();
    if (name.empty() || !text_.substr(at_).starts_with("=\"")) {
      error_ = "attribute without a quoted value: " + name;
      return void(at_ = text_.size());
    }
    at_ += 2;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '<') error_ = "< in attribute " + name;
      character();
    }
    ++at_;
  }

  std::string word() {
    const size_t first = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '-' || text_[at_] == ':'))
      ++at_;
    return std::string(text_.substr(first, at_ - first));
  }

  std::string_view text_;
  size_t at_ = 0;
  std::vector<std::string> open_;
  std::string error_;
};

TEST(XmlCheck, FindsFaults) {
  EXPECT_EQ(XmlCheck("<!DOCTYPE html><p a=\"1\">x &amp; <br/></p>").run(), "");
  for (const char* text : {"<p>", "<p></q>", "<p a=1></p>", "a & b", "a < b", "<p a=\"<\"></p>", "&nbsp;"})
    EXPECT_NE(XmlCheck(text).run(), "") << text;
}

TEST(Report, IsWellFormedAndLoadsNothing) {
  for (int64_t classes : {2, 3, 10, 15})
    for (int epochs : {1, 20, 300}) {
      const std::string page = format_report(sample_report(classes, epochs));
      EXPECT_EQ(XmlCheck(page).run(), "") << classes << " classes, " << epochs << " epochs";
      for (const char* outside : {"http:", "https:", "//", "url(", "@import", "<script", "<img", "<link", "nan"})
        EXPECT_THAT(page, Not(HasSubstr(outside)));
    }
}

TEST(Report, ShowsEverySection) {
  const RunReport report = sample_report(2, 10);
  const std::string page = format_report(report);
  for (const char* text :
       {"ROC AUC", "majority class", "logistic regression", "Learning rate", "Reliability", "Confusion matrix", "data hash",
        "label = income", "href=\"./model.onnx\"", "href=\"./checkpoints/epoch%208.ckpt\"", "&gt;50K"})
    EXPECT_THAT(page, HasSubstr(text));
  const Metric& auc = find_metric(report.scores[0].metrics, "roc_auc");
  EXPECT_THAT(page,
              AllOf(HasSubstr(format_number(auc.value)), HasSubstr(format_number(auc.low) + "\u2013" + format_number(auc.high))));
}

TEST(Report, EveryPlotHasADescriptionAndNumbers) {
  const std::string page = format_report(sample_report(2, 10));
  const auto count = [&](std::string_view what) {
    int n = 0;
    for (size_t at = page.find(what); at != std::string::npos; at = page.find(what, at + 1)) ++n;
    return n;
  };
  EXPECT_EQ(count("<svg class=\"plot\""), 6);
  EXPECT_EQ(count("role=\"img\" aria-label=\""), 6);
  EXPECT_EQ(count("<summary>Numbers</summary>"), 6);
}

TEST(Report, EscapesEverythingFromOutside) {
  const std::string evil = "\"><script>alert('1')</script>\x01&";
  RunReport report = sample_report(2, 2);
  report.title = report.summary = report.metric_name = report.config = report.class_names[0] = report.class_names[1] = evil;
  report.scores[0].name = report.roc[0].name = report.groups[0].title = report.groups[0].facts[0].value = evil;
  report.files[0] = {"javascript:alert(1)", evil};
  const std::string page = format_report(report);
  EXPECT_EQ(XmlCheck(page).run(), "");
  EXPECT_THAT(page, AllOf(Not(HasSubstr("<script")), Not(HasSubstr("href=\"javascript"))));
}

TEST(Report, LeavesOutWhatTheRunLacks) {
  RunReport report;
  report.title = "empty";
  const std::string page = format_report(report);
  EXPECT_EQ(XmlCheck(page).run(), "");
  EXPECT_THAT(page, AllOf(Not(HasSubstr("<h2>")), Not(HasSubstr("<svg"))));
}

TEST(Html, EscapesText) {
  EXPECT_EQ(html_escape("<a & 'b'>\"\n"), "&lt;a &amp; &#39;b&#39;&gt;&quot;\n");
  EXPECT_EQ(html_escape("Zürich"), "Zürich");
  EXPECT_EQ(html_escape("\xff"), "\xEF\xBF\xBD");
}

TEST(SvgPlot, TicksAreRoundAndInRange) {
  using testing::DoubleNear;
  using testing::ElementsAre;
  using testing::Pointwise;
  EXPECT_THAT(nice_ticks({0, 1}, 5, false), Pointwise(DoubleNear(1e-12), {0.0, 0.2, 0.4, 0.6, 0.8, 1.0}));
  EXPECT_THAT(nice_ticks({0.93, 4.2}, 6, true), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(nice_ticks({-30, 120}, 4, false), ElementsAre(0, 50, 100));
}

TEST(SvgPlot, SkipsWhatIsNotFinite) {
  Plot plot{"p", "x", "y"};
  plot.series = {{"a", {{1, 1}, {2, std::nan("")}, {3, 2}, {4, 3}}}};
  const std::string figure = html_figure(plot, "s", "");
  EXPECT_THAT(figure, Not(HasSubstr("nan")));
  EXPECT_THAT(figure, testing::ContainsRegex("d=\"M[0-9. ]+M[0-9. ]+L[0-9. ]+\""));
}

}  // namespace
}  // namespace tandem
