// ai.onnx.ml ZipMap (1): a matrix of probabilities as one map a row, from class label to probability. Tandem has no maps: the
// output is the matrix itself, whose columns are the classes in the order of the node's class labels. The type of a graph output
// that is a sequence of maps is read as that matrix (runtime/onnx/type_proto.h).
#include "runtime/graph/contexts.h"
#include "runtime/ops/class_labels.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"classlabels_int64s", "classlabels_strings"};
constexpr Alias kView[] = {{.input = 0, .output = 0, .kind = AliasKind::kView}};

void infer(InferenceContext& node) {
  node.require_dtype(0, DType::kF32);
  const int64_t classes = class_labels(node, "classlabels_int64s").elements();
  node.require(classes > 0, "class labels are missing");
  if (node.has_rank(0)) {
    node.require(node.rank(0) == 1 || node.rank(0) == 2, "input must be a matrix or one row");
    node.require(!differ(node.dims(0).back(), Dim(classes)), "as many columns as class labels are needed (columns, labels)",
                 node.dims(0).back().size, classes);
  }
  node.set_output_like(0, 0);
}

constexpr OpDef zip_map_op = {
    .name = "ZipMap", .domain = "ai.onnx.ml", .attributes = kAttributes, .infer = infer, .aliases = kView};

constexpr const OpDef* kOps[] = {&zip_map_op};

}  // namespace

extern const OpFamily zip_map_ops;
constinit const OpFamily zip_map_ops = kOps;

}  // namespace tandem
