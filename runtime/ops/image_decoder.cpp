// ImageDecoder (ONNX 20): the pixels of an encoded picture, or an empty tensor if it cannot be decoded.
#include "runtime/graph/evaluate_context.h"
#include "runtime/image/decode.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"pixel_format"};

PixelFormat format_of(const NodeContext& node) {
  const std::string format = node.get_string("pixel_format", "RGB");
  if (format == "RGB") return PixelFormat::kRgb;
  if (format == "BGR") return PixelFormat::kBgr;
  if (format == "Grayscale") return PixelFormat::kGrayscale;
  node.reject("pixel_format must be RGB, BGR or Grayscale", format);
}

void infer(InferenceContext& node) {
  node.require_dtype(0, DType::kU8);
  node.require(!node.has_rank(0) || node.rank(0) == 1, "encoded_stream must be a vector of bytes");
  format_of(node);
  node.set_output(0, DType::kU8, Dims(3));
}

void evaluate(EvaluateContext& node) {
  const DecodedImage image = decode_image(node.tensor(0).as<uint8_t>(), format_of(node));
  node.set_output(0, Tensor::of<uint8_t>({image.height, image.width, image.channels}, image.samples));
}

constexpr OpDef image_decoder_op = {
    .name = "ImageDecoder", .since = 20, .attributes = kAttributes, .infer = infer, .evaluate = evaluate};

constexpr const OpDef* kOps[] = {&image_decoder_op};

}  // namespace

extern const OpFamily image_decoder_ops;
constinit const OpFamily image_decoder_ops = kOps;

}  // namespace tandem
