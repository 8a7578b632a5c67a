#include "runtime/model/graph_record.h"

#include <algorithm>

#include "runtime/graph/contexts.h"
#include "runtime/graph/op_def.h"
#include "runtime/model/byte_record.h"
#include "runtime/ops/all_ops.h"

namespace tandem {
namespace {

constexpr int kDeepestBody = 32;  // graphs within graphs, as in ONNX files
constexpr int kKinds = 4, kContainers = 4, kMostRank = 64;

class Writer {
 public:
  explicit Writer(const std::function<StoredNumbers(const Tensor&)>& store) : store_(store) {}
  const std::string& bytes() const { return out_.bytes(); }

  void graph(const Graph& graph) {
    out_.put(graph.name);
    map(graph.opsets);
    map(graph.metadata);
    out_.put(int32_t{graph.captured_inputs});
    list(graph.values, [&](const Value& value) { this->value(value); });
    ids(graph.inputs);
    ids(graph.outputs);
    list(graph.nodes, [&](const Node& node) { this->node(node); });
  }

 private:
  template <class List, class Put>
  void list(const List& items, Put put) {
    out_.put(uint64_t{items.size()});
    for (const auto& item : items) put(item);
  }
  template <class Map>
  void map(const Map& entries) {
    list(entries, [&](const auto& entry) { out_.put(entry.first), out_.put(entry.second); });
  }
  void ids(const std::vector<ValueId>& ids) {
    list(ids, [&](ValueId id) { out_.put(id); });
  }

  void value(const Value& value) {
    require(value.kind != ValueKind::kState, "a graph with states is not kept compiled (state)", value.name);
    out_.put(value.name);
    out_.put(static_cast<uint8_t>(value.kind));
    if (value.kind == ValueKind::kConstant) tensor(value.data);
    if (value.kind == ValueKind::kInput) type(value.type);
  }

  void type(const TensorType& type) {
    out_.put(static_cast<uint8_t>(type.dtype));
    out_.put(static_cast<uint8_t>(type.container));
    out_.put(static_cast<uint8_t>(type.dims.has_value()));
    if (type.dims) list(*type.dims, [&](const Dim& dim) { out_.put(dim.size), out_.put(dim.symbol); });
  }

  void tensor(const Tensor& tensor) {
    out_.put(static_cast<uint8_t>(tensor.dtype()));
    list(tensor.shape().dims(), [&](int64_t dim) { out_.put(dim); });
    if (tensor.dtype() == DType::kString) return list(tensor.as<std::string_view>(), [&](std::string_view text) { out_.put(text); });
    const StoredNumbers stored = store_(tensor);
    out_.put(stored.offset);
    out_.put(stored.checksum);
  }

  void node(const Node& node) {
    out_.put(node.def->domain);
    out_.put(node.def->name);
    out_.put(int32_t{node.def->since});
    out_.put(node.name);
    ids(node.inputs);
    ids(node.outputs);
    list(node.attributes, [&](const auto& entry) {
      out_.put(entry.first);
      out_.put(static_cast<uint8_t>(entry.second.index()));
      std::visit([&](const auto& content) { attribute(content); }, entry.second);
    });
  }

  void attribute(const Tensor& content) { tensor(content); }
  void attribute(const Subgraph& content) { graph(*content); }
  template <class T>
  void attribute(const std::vector<T>& content) {
    list(content, [&](const T& element) { out_.put(element); });
  }
  template <class T>
  void attribute(const T& content) {
    out_.put(content);
  }

  const std::function<StoredNumbers(const Tensor&)>& store_;
  ByteWriter out_;
};

class Reader {
 public:
  using Fetch = std::function<Tensor(const StoredNumbers&, DType, const Shape&)>;
  Reader(std::string_view record, const Fetch& fetch, const Limits& limits) : in_(record), fetch_(fetch), limits_(limits) {}

  Graph run() {
    Graph graph = read_graph(0);
    require(in_.at_end(), "bytes follow the graph");
    return graph;
  }

 private:
  Graph read_graph(int depth) {
    require(depth <= kDeepestBody, "subgraphs are nested too deeply (limit)", kDeepestBody);
    Graph graph;
    graph.name = in_.text();
    for (size_t i = in_.count(12); i > 0; --i) {
      const std::string domain = in_.text();
      graph.opsets[domain] = in_.get<int32_t>();
    }
    for (size_t i = in_.count(16); i > 0; --i) {
      const std::string key = in_.text();
      graph.metadata[key] = in_.text();
    }
    graph.captured_inputs = in_.get<int32_t>();
    for (size_t i = in_.count(9); i > 0; --i) read_value(graph);
    const std::vector<ValueId> inputs = ids(graph);
    require(std::ranges::is_permutation(inputs, graph.inputs), "the inputs listed are not those there are");
    graph.inputs = inputs;
    require(graph.captured_inputs >= 0 && static_cast<size_t>(graph.captured_inputs) <= inputs.size(), "more inputs are captured than there are");
    graph.outputs = ids(graph);
    const size_t nodes = in_.count(52);
    require(static_cast<int64_t>(nodes) <= limits_.graph_nodes, "the graph has too many nodes (has, limit)", nodes, limits_.graph_nodes);
    graph.nodes.reserve(nodes);
    for (size_t i = 0; i < nodes; ++i) read_node(graph, depth);
    verify(graph);
    return graph;
  }

  void read_value(Graph& graph) {
    std::string name = in_.text();
    const auto kind = in_.choice<ValueKind>(kKinds);
    require(kind != ValueKind::kState, "a compiled model has no states", name);
    if (kind == ValueKind::kInput) {
      TensorType type = read_type();
      const ValueId id = graph.add_input(std::move(name), type.dtype, {});
      graph.value(id).type = std::move(type);
    } else if (kind == ValueKind::kConstant) {
      const ValueId id = graph.add_constant(name, read_tensor());
      require(graph.value(id).name == name, "two values have one name", name);
    } else {
      graph.add_result(std::move(name));
    }
  }

  DType dtype() {
    const auto dtype = static_cast<DType>(in_.get<uint8_t>());
    require(dtype != DType::kUndefined && dtype <= DType::kI2 && size_of(dtype) > 0, "element type is not supported", static_cast<int>(dtype));
    return dtype;
  }

  TensorType read_type() {
    TensorType type{dtype()};
    type.container = in_.choice<Container>(kContainers);
    if (!in_.choice<bool>(2)) return type;
    type.dims.emplace();
    for (size_t i = in_.count(16); i > 0; --i) {
      Dim dim(in_.get<int64_t>());
      require(dim.size >= -1, "a dimension is negative", dim.size);
      dim.symbol = in_.text();
      type.dims->push_back(std::move(dim));
    }
    return type;
  }

  Tensor read_tensor() {
    const DType type = dtype();
    std::vector<int64_t> dims(in_.count(8));
    require(dims.size() <= kMostRank, "a tensor has too many dimensions", dims.size());
    for (int64_t& dim : dims) dim = in_.get<int64_t>();
    const Shape shape(dims);
    if (type != DType::kString) {
      const auto offset = in_.get<uint64_t>();
      return fetch_({offset, in_.get<uint64_t>()}, type, shape);
    }
    std::vector<std::string> texts(in_.count(8));
    for (std::string& text : texts) text = in_.text();
    return Tensor::strings(shape, texts);
  }

  std::vector<ValueId> ids(const Graph& graph) {
    const size_t count = in_.count(4);
    require(static_cast<int64_t>(count) <= std::max(limits_.node_arity, static_cast<int64_t>(graph.values.size())), "too many values in a list",
            count);
    std::vector<ValueId> ids(count);
    for (ValueId& id : ids) {
      id = in_.get<ValueId>();
      require(id >= kNoValue && id < static_cast<ValueId>(graph.values.size()), "there is no such value", id);
    }
    return ids;
  }

  const OpDef& read_op() {
    const std::string domain = in_.text(), name = in_.text();
    const auto since = in_.get<int32_t>();
    const OpDef& def = find_op(domain, name, since);
    require(def.since == since, "no definition of the op begins there (op, opset)", name, since);
    const bool replaces = std::ranges::any_of(def.aliases, [](const Alias& alias) { return alias.kind == AliasKind::kMust; });
    require(!replaces && !def.view_offset_bytes && !def.placement_offset_bytes && !(def.stateful && domain == "tandem"),
            "the op has no place in a model that is kept (op)", name);
    return def;
  }

  void read_node(Graph& graph, int depth) {
    Node node;
    node.def = &read_op();
    node.name = in_.text();
    node.inputs = ids(graph);
    node.outputs = ids(graph);
    for (size_t i = in_.count(17); i > 0; --i) {
      std::string key = in_.text();
      require(node.attributes.emplace(std::move(key), read_attribute(depth)).second, "attribute is given twice (node)", node.name);
    }
    const auto is_result = [&](ValueId id) { return id == kNoValue || graph.value(id).kind == ValueKind::kResult; };
    require(std::ranges::all_of(node.outputs, is_result), "a node writes what is no result (node)", node.name);
    infer_types(graph, node);
    graph.nodes.push_back(std::move(node));
  }

  template <class T>
  std::vector<T> numbers() {
    std::vector<T> list(in_.count(sizeof(T)));
    for (T& element : list) element = in_.get<T>();
    return list;
  }

  // By the index of the variant Attribute.
  Attribute read_attribute(int depth) {
    switch (in_.get<uint8_t>()) {
      case 0: return in_.get<int64_t>();
      case 1: return in_.get<float>();
      case 2: return in_.text();
      case 3: return numbers<int64_t>();
      case 4: return numbers<float>();
      case 5: {
        std::vector<std::string> texts(in_.count(8));
        for (std::string& text : texts) text = in_.text();
        return texts;
      }
      case 6: return read_tensor();
      case 7: return std::make_shared<const Graph>(read_graph(depth + 1));
      default: fail(ErrorCode::kInvalidArgument, "an attribute is of no known kind");
    }
  }

  ByteReader in_;
  const Fetch& fetch_;
  const Limits& limits_;
};

}  // namespace

std::string write_graph(const Graph& graph, const std::function<StoredNumbers(const Tensor&)>& store) {
  Writer writer(store);
  writer.graph(graph);
  return writer.bytes();
}

Graph read_graph(std::string_view record, const std::function<Tensor(const StoredNumbers&, DType, const Shape&)>& fetch, const Limits& limits) {
  return Reader(record, fetch, limits).run();
}

}  // namespace tandem
