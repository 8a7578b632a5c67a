#include "models/data/npy_header.h"

#include <array>
#include <charconv>
#include <optional>

#include "kernels/base/checked.h"

namespace tandem {
namespace {

constexpr std::string_view kMagic{"\x93NUMPY", 6};

struct NumberType {
  std::string_view descr;
  DType dtype;
};
constexpr std::array<NumberType, 12> kNumberTypes{{{"<f4", DType::kF32},
                                                   {"<f8", DType::kF64},
                                                   {"<f2", DType::kF16},
                                                   {"<i8", DType::kI64},
                                                   {"<i4", DType::kI32},
                                                   {"<i2", DType::kI16},
                                                   {"|i1", DType::kI8},
                                                   {"|u1", DType::kU8},
                                                   {"<u2", DType::kU16},
                                                   {"<u4", DType::kU32},
                                                   {"<u8", DType::kU64},
                                                   {"|b1", DType::kBool}}};

// Scans the dict literal; every failure names the byte it happened at.
class Scanner {
 public:
  Scanner(std::string_view text, size_t offset, std::string_view source) : text_(text), offset_(offset), source_(source) {}

  bool accept(std::string_view token) {
    skip_blanks();
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  void expect(std::string_view token) {
    if (!accept(token)) fail_here("expected " + std::string(token));
  }
  std::string_view quoted() {
    skip_blanks();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote == '[') fail_here("structured types are not supported; save each field as its own array");
    if (quote != '\'' && quote != '"') fail_here("expected a quoted text");
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail_here("quoted text is never closed");
    const std::string_view content = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return content;
  }
  int64_t integer() {
    skip_blanks();
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (error != std::errc()) fail_here("expected a dimension");
    at_ = static_cast<size_t>(end - text_.data());
    return value;
  }
  bool done() {
    skip_blanks();
    return at_ == text_.size();
  }
  [[noreturn]] void fail_here(std::string_view what) const {
    fail(ErrorCode::kInvalidArgument, "npy header is damaged", {source_, "byte " + std::to_string(offset_ + at_), what});
  }

 private:
  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  std::string_view text_;
  size_t offset_;
  std::string_view source_;
  size_t at_ = 0;
};

Shape scan_shape(Scanner& in) {
  Shape shape;
  in.expect("(");
  while (!in.accept(")")) {
    const int64_t size = in.integer();
    if (size < 0) in.fail_here("dimension is negative");
    if (shape.rank() == Shape::kMaxRank) in.fail_here("rank exceeds 8");
    shape.push_back(size);
    if (in.accept(",")) continue;
    in.expect(")");
    break;
  }
  return shape;
}

void read_type(std::string_view descr, std::string_view source, NpyHeader& header) {
  for (const NumberType& type : kNumberTypes)
    if (descr == type.descr) {
      header.dtype = type.dtype;
      header.element_bytes = size_of(type.dtype);
      return;
    }
  const auto refuse = [&](std::string_view why) {
    fail(ErrorCode::kInvalidArgument, "npy element type is not supported", {source, descr, why});
  };
  if (descr.starts_with('>')) refuse("big-endian; save it with array.astype(array.dtype.newbyteorder('<'))");
  if (descr.find('O') != std::string_view::npos) refuse("pickled objects can run code; save it with array.astype(str)");
  const bool is_text = descr.starts_with("<U") || descr.starts_with("|S");
  size_t length = 0;
  const auto [end, error] =
      std::from_chars(descr.data() + std::min<size_t>(2, descr.size()), descr.data() + descr.size(), length);
  if (!is_text || error != std::errc() || end != descr.data() + descr.size() || length < 1 || length > (size_t{1} << 30))
    refuse("expected f2 f4 f8 i1 to i8 u1 to u8 b1, U or S");
  header.dtype = DType::kString;
  header.text = descr[1];
  header.element_bytes = header.text == 'U' ? 4 * length : length;
}

NpyHeader scan_dict(Scanner& in, std::string_view source) {
  NpyHeader header;
  std::optional<std::string_view> descr;
  std::optional<bool> fortran;
  std::optional<Shape> shape;
  in.expect("{");
  while (!in.accept("}")) {
    const std::string_view key = in.quoted();
    in.expect(":");
    if (key == "descr" && !descr)
      descr = in.quoted();
    else if (key == "fortran_order" && !fortran)
      fortran = in.accept("True") ? true : (in.expect("False"), false);
    else if (key == "shape" && !shape)
      shape = scan_shape(in);
    else
      in.fail_here("unknown or repeated key '" + std::string(key.substr(0, 40)) + "'");
    if (!in.accept(",")) {
      in.expect("}");
      break;
    }
  }
  if (!descr || !fortran || !shape) in.fail_here("expected the keys descr, fortran_order and shape");
  if (!in.done()) in.fail_here("text follows the dict");
  // With at most one dimension over 1 both orders are the same bytes.
  int large = 0;
  for (int64_t dim : shape->dims()) large += dim > 1;
  require(!*fortran || large <= 1, "array is in Fortran order; save it with numpy.ascontiguousarray(array)", source,
          to_string(*shape));
  read_type(*descr, source, header);
  header.shape = *shape;
  return header;
}

}  // namespace

NpyHeader parse_npy_header(std::string_view bytes, std::string_view source) {
  const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<uint8_t>(bytes[i])); };
  require(bytes.size() >= 10 && bytes.starts_with(kMagic), "not an npy file: it must begin with \\x93NUMPY", source);
  const size_t version = byte(6), size_bytes = version == 1 ? 2 : 4, start = 8 + size_bytes;
  require(version >= 1 && version <= 3, "npy format version is not supported; expected 1, 2 or 3", source, version);
  require(bytes.size() >= start, "npy file ends inside its header", source, "byte " + std::to_string(bytes.size()));
  size_t length = 0;
  for (size_t i = size_bytes; i-- > 0;) length = length << 8 | byte(8 + i);
  require(length <= bytes.size() - start, "npy file ends inside its header", source, "byte " + std::to_string(bytes.size()));
  Scanner in(bytes.substr(start, length), start, source);
  NpyHeader header = scan_dict(in, source);
  header.data_offset = start + length;
  return header;
}

std::string format_npy_header(std::string_view descr, const Shape& shape) {
  std::string dict = "{'descr': '" + std::string(descr) + "', 'fortran_order': False, 'shape': (";
  for (int64_t dim : shape.dims()) dict += std::to_string(dim) + ", ";
  dict += "), }";
  const size_t start = kMagic.size() + 4;
  dict.append(static_cast<size_t>(round_up(static_cast<int64_t>(start + dict.size() + 1), 64)) - start - dict.size() - 1, ' ');
  dict += '\n';
  std::string out(kMagic);
  out += {'\1', '\0', static_cast<char>(dict.size() & 0xFF), static_cast<char>(dict.size() >> 8)};
  return out + dict;
}

std::string_view npy_descr(DType dtype) {
  for (const NumberType& type : kNumberTypes)
    if (dtype == type.dtype) return type.descr;
  fail(ErrorCode::kInvalidArgument, "NumPy has no such element type; cast to f32 first", {name(dtype)});
}

}  // namespace tandem
