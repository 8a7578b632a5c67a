// The lexical half of the CSV reader: text to cells, row by row, without a copy where a cell has no doubled quote.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace tandem {

class CsvCells {
 public:
  // `text` must outlive the reader and its cells.
  CsvCells(std::string_view text, std::string_view source, char delimiter, bool trim_blanks);

  // Reads the next row into `cells`; false at the end. The cells live as long as the reader. A line without any character gives
  // one empty cell. Throws InvalidArgument for an unclosed quote, text behind a closing quote, a NUL byte, or text that is not
  // UTF-8.
  bool next_row(std::vector<std::string_view>& cells);
  // Steps over one physical line.
  void skip_line();
  // The line, counted from 1, on which the row last read began.
  int64_t line() const { return row_line_; }

 private:
  std::string_view quoted_cell(size_t column);
  std::string_view plain_cell();
  // True, and steps over it, if a line end or the end of the text comes next.
  bool end_of_row();
  void skip_blanks();
  [[noreturn]] void fail_at(std::string_view what, size_t column) const;

  std::string_view text_;
  std::string_view source_;
  char delimiter_;
  bool trim_blanks_;
  size_t at_ = 0;
  int64_t line_ = 1;
  int64_t row_line_ = 1;
  std::deque<std::string> unescaped_;  // cells that had doubled quotes; a deque keeps their addresses
};

}  // namespace tandem
