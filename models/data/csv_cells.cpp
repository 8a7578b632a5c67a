#include "models/data/csv_cells.h"

#include <algorithm>

#include "kernels/base/error.h"
#include "models/data/utf8.h"

namespace tandem {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }

}  // namespace

CsvCells::CsvCells(std::string_view text, std::string_view source, char delimiter, bool trim_blanks)
    : text_(text), source_(source), delimiter_(delimiter), trim_blanks_(trim_blanks) {
  if (text_.starts_with(kByteOrderMark)) text_.remove_prefix(kByteOrderMark.size());
}

bool CsvCells::next_row(std::vector<std::string_view>& cells) {
  cells.clear();
  if (at_ == text_.size()) return false;
  row_line_ = line_;
  while (true) {
    const size_t column = cells.size() + 1;
    if (trim_blanks_) skip_blanks();
    const bool quoted = at_ < text_.size() && text_[at_] == '"';
    const std::string_view cell = quoted ? quoted_cell(column) : plain_cell();
    if (cell.find('\0') != std::string_view::npos) fail_at("cell holds a NUL byte; expected text in UTF-8", column);
    if (!is_utf8(cell)) fail_at("cell is not UTF-8", column);
    cells.push_back(cell);
    if (end_of_row()) return true;
    ++at_;  // the delimiter
  }
}

void CsvCells::skip_line() {
  at_ = std::min(text_.find('\n', at_), text_.size());
  if (at_ < text_.size()) ++at_;
  ++line_;
}

std::string_view CsvCells::quoted_cell(size_t column) {
  const size_t first = ++at_;
  std::string* copy = nullptr;
  size_t piece = first;
  while (true) {
    const size_t quote = text_.find('"', at_);
    if (quote == std::string_view::npos) fail_at("quoted cell is never closed", column);
    line_ += std::count(text_.begin() + static_cast<ptrdiff_t>(at_), text_.begin() + static_cast<ptrdiff_t>(quote), '\n');
    at_ = quote + 1;
    const bool doubled = at_ < text_.size() && text_[at_] == '"';
    if (doubled && copy == nullptr) copy = &unescaped_.emplace_back();
    if (copy != nullptr) copy->append(text_.substr(piece, quote - piece + (doubled ? 1 : 0)));
    if (!doubled) break;
    piece = ++at_;
  }
  const size_t last = at_ - 1;
  if (trim_blanks_) skip_blanks();
  const std::string_view rest = text_.substr(at_);
  if (!rest.empty() && rest[0] != delimiter_ && rest[0] != '\n' && !rest.starts_with("\r\n"))
    fail_at("text follows the closing quote; expected the delimiter or the end of the line", column);
  return copy ? std::string_view(*copy) : text_.substr(first, last - first);
}

std::string_view CsvCells::plain_cell() {
  const size_t first = at_;
  while (at_ < text_.size() && text_[at_] != delimiter_ && text_[at_] != '\n') ++at_;
  size_t last = at_;
  const bool at_line_end = at_ == text_.size() || text_[at_] == '\n';
  if (at_line_end && last > first && text_[last - 1] == '\r') --last;
  if (trim_blanks_)
    while (last > first && is_blank(text_[last - 1])) --last;
  return text_.substr(first, last - first);
}

bool CsvCells::end_of_row() {
  if (at_ < text_.size() && text_[at_] == '\r') ++at_;  // behind a quoted cell: "\r\n" was checked there
  if (at_ == text_.size()) return true;
  if (text_[at_] != '\n') return false;
  ++at_;
  ++line_;
  return true;
}

void CsvCells::skip_blanks() {
  while (at_ < text_.size() && is_blank(text_[at_]) && text_[at_] != delimiter_) ++at_;
}

void CsvCells::fail_at(std::string_view what, size_t column) const {
  fail(ErrorCode::kInvalidArgument, what, {source_, "line " + std::to_string(row_line_), "column " + std::to_string(column)});
}

}  // namespace tandem
