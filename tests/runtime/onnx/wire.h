// Writes ONNX files byte by byte from the field numbers of the specification, so that tests can say what no library would write.
#pragma once

#include <bit>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace tandem::testing {

// One protobuf message: each call appends a field.
class Wire {
 public:
  Wire& number(int field, int64_t value) { return tag(field, 0).varint(static_cast<uint64_t>(value)); }
  Wire& text(int field, std::string_view value) {
    tag(field, 2).varint(value.size());
    bytes_ += value;
    return *this;
  }
  Wire& message(int field, const Wire& value) { return text(field, value.bytes_); }
  Wire& f32(int field, float value) {
    tag(field, 5);
    const auto bits = std::bit_cast<uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) bytes_ += static_cast<char>(bits >> shift);
    return *this;
  }
  Wire& f64(int field, double value) {
    tag(field, 1);
    const auto bits = std::bit_cast<uint64_t>(value);
    for (int shift = 0; shift < 64; shift += 8) bytes_ += static_cast<char>(bits >> shift);
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  Wire& tag(int field, int type) { return varint(static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(type)); }
  Wire& varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
    return *this;
  }
  std::string bytes_;
};

// TensorProto without data: name = 8, dims = 1, data_type = 2.
inline Wire tensor_proto(std::string_view name, int data_type, std::initializer_list<int64_t> dims) {
  Wire tensor;
  for (int64_t dim : dims) tensor.number(1, dim);
  return tensor.number(2, data_type).text(8, name);
}

inline Wire f32_tensor(std::string_view name, std::initializer_list<int64_t> dims, std::initializer_list<float> values) {
  Wire tensor = tensor_proto(name, 1, dims);
  for (float value : values) tensor.f32(4, value);
  return tensor;
}

// ValueInfoProto of a tensor; a dimension below 0 is written as the symbol "batch".
inline Wire value_info(std::string_view name, int data_type, std::initializer_list<int64_t> dims) {
  Wire shape;
  for (int64_t dim : dims) shape.message(1, dim < 0 ? Wire().text(2, "batch") : Wire().number(1, dim));
  return Wire().text(1, name).message(2, Wire().message(1, Wire().number(1, data_type).message(2, shape)));
}

using Names = std::initializer_list<std::string_view>;

// NodeProto; attributes can be appended as field 5.
inline Wire node_proto(std::string_view op, Names inputs, Names outputs, std::string_view name = "",
                       std::string_view domain = "") {
  Wire node;
  for (std::string_view input : inputs) node.text(1, input);
  for (std::string_view output : outputs) node.text(2, output);
  return node.text(3, name).text(4, op).text(7, domain);
}

// GraphProto's fields for the helpers below.
inline constexpr int kNodeField = 1, kInitializerField = 5, kInputField = 11, kOutputField = 12;

// ModelProto around a graph.
inline std::string model_proto(const Wire& graph, int64_t opset = 13, int64_t ir_version = 8) {
  return Wire().number(1, ir_version).message(7, graph).message(8, Wire().text(1, "").number(2, opset)).bytes();
}

// x: f32[batch, 3] -> one node -> y: f32[batch, 3].
inline std::string one_node_model(const Wire& node, int64_t opset = 13) {
  return model_proto(Wire()
                         .text(2, "g")
                         .message(kInputField, value_info("x", 1, {-1, 3}))
                         .message(kNodeField, node)
                         .message(kOutputField, value_info("y", 1, {-1, 3})),
                     opset);
}

}  // namespace tandem::testing
