#include "serving/core/config_text.h"

#include <utility>

#include "kernels/base/error.h"

namespace tandem {
namespace {

constexpr size_t kMostDepth = 64;

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-' ||
         c == '+';
}

class ConfigParser {
 public:
  explicit ConfigParser(std::string_view text) : text_(text) { skip_blanks(); }

  std::vector<ConfigValue> parse() {
    while (!at_end()) {
      if (!open_.empty() && take(open_.back().end))
        close();
      else if (!open_.empty() && open_.back().is_list)
        value(path_.size());
      else
        field();
    }
    if (!open_.empty()) refuse(std::string("'") + open_.back().end + "' is missing at the end");
    return std::move(values_);
  }

 private:
  // A message or a list that has begun.
  struct Open {
    char end;
    bool is_list;
    size_t path_size;  // of path_, outside of it
  };

  bool at_end() const { return at_ == text_.size(); }
  char next() const { return at_end() ? '\0' : text_[at_]; }

  [[noreturn]] void refuse(const std::string& what) const {
    fail(ErrorCode::kInvalidArgument, "line " + std::to_string(line_) + ": " + what);
  }

  void skip_blanks() {
    bool comment = false;
    for (; !at_end(); ++at_) {
      const char c = text_[at_];
      if (c == '\n') ++line_;
      comment = c == '#' || (comment && c != '\n');
      if (!comment && c != ' ' && c != '\t' && c != '\r' && c != '\n') return;
    }
  }

  bool take(char c) {
    if (next() != c) return false;
    ++at_;
    skip_blanks();
    return true;
  }

  std::string word(const char* wanted) {
    const size_t begin = at_;
    while (is_word(next())) ++at_;
    if (at_ == begin)
      refuse(std::string("expected ") + wanted + (at_end() ? ", found the end" : std::string(", found '") + next() + "'"));
    std::string found(text_.substr(begin, at_ - begin));
    skip_blanks();
    return found;
  }

  std::string quoted(char quote) {
    const size_t begin = ++at_;
    while (next() != quote) {
      if (at_end() || next() == '\n') refuse("a text has no end");
      at_ += next() == '\\' && at_ + 1 < text_.size() ? 2 : 1;
    }
    std::string found(text_.substr(begin, at_++ - begin));
    skip_blanks();
    return found;
  }

  void open(char end, bool is_list, size_t path_size) {
    if (open_.size() == kMostDepth) refuse("messages are nested too deep");
    open_.push_back({end, is_list, path_size});
  }

  void field() {
    const size_t outside = path_.size();
    const std::string name = word("the name of a field");
    path_ += (path_.empty() ? "" : ".") + name;
    const bool colon = take(':');
    if (take('[')) return open(']', true, outside);
    if (next() != '{' && next() != '<' && !colon) refuse("expected ':' or '{' after '" + name + "'");
    value(outside);
  }

  // `outside`: what path_ is when it has ended.
  void value(size_t outside) {
    const int line = line_;
    for (const auto& [begin, end] : {std::pair{'{', '}'}, std::pair{'<', '>'}})
      if (take(begin)) {
        values_.push_back({path_, "", ConfigValue::Kind::kMessage, line});
        return open(end, false, outside);
      }
    ConfigValue found{path_, "", ConfigValue::Kind::kPlain, line};
    if (next() == '"' || next() == '\'') {
      found.kind = ConfigValue::Kind::kText;
      while (next() == '"' || next() == '\'') found.text += quoted(next());
    } else {
      found.text = word("a value");
    }
    values_.push_back(std::move(found));
    end_value(outside);
  }

  void close() {
    const size_t outside = open_.back().path_size;
    open_.pop_back();
    end_value(outside);
  }

  void end_value(size_t outside) {
    path_.resize(outside);
    if (!open_.empty() && open_.back().is_list) {
      if (next() != ']' && !take(',')) refuse("expected ',' or ']' in a list");
    } else if (!take(',')) {
      take(';');
    }
  }

  std::string_view text_;
  size_t at_ = 0;
  int line_ = 1;
  std::string path_;
  std::vector<Open> open_;
  std::vector<ConfigValue> values_;
};

}  // namespace

std::vector<ConfigValue> parse_config_text(std::string_view text) { return ConfigParser(text).parse(); }

}  // namespace tandem
