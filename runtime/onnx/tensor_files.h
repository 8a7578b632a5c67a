// The files that a model's tensors lie in: the model's own, and those beside it.
//
// Four times a path check in ONNX's own reader was got round (docs/ExternalDataSecurity.md there); here the kernel does the check (open_beneath).
// Bytes are read, so that a file cut short meanwhile is an error, or mapped if the caller asks for that (Weights in onnx.h).
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "runtime/graph/tensor.h"
#include "runtime/io/mapped_file.h"
#include "runtime/onnx/onnx.h"

namespace tandem_onnx_proto {
class TensorProto;
}

namespace tandem {

// A part of a file, in bytes.
struct FileRange {
  int64_t offset = 0, bytes = 0;
};

class TensorFiles {
 public:
  // `folder`: where files named by tensors may lie; empty: nowhere. `model`: what read_inside() reads.
  explicit TensorFiles(std::filesystem::path folder = {}, Weights weights = Weights::kCopied, FileDescriptor model = {});

  // What the tensor's external_data names: numbers of `dtype`, as long as its type and dims say. Throws InvalidArgument for a location outside
  // the folder, anything but a plain file, and offsets or lengths that do not fit.
  Tensor read_beside(const tandem_onnx_proto::TensorProto& proto, DType dtype, const Shape& shape);
  // Numbers that lie in the model's own file, which holds the range.
  Tensor read_inside(const FileRange& range, DType dtype, const Shape& shape);

 private:
  struct Opened {
    std::string location;
    FileDescriptor file;
    int64_t size = 0;
    std::shared_ptr<MappedFile> mapped;  // null as long as nothing was mapped
  };
  void open(const std::string& location);
  // Mapped where that may be and the range begins at a multiple of an element, which in a model's own file is chance; else read.
  Tensor content(Opened& from, const FileRange& range, DType dtype, const Shape& shape) const;

  std::filesystem::path folder_;
  Weights weights_;
  Opened model_;
  Opened last_;  // a model's tensors lie in one file, or in one each
};

}  // namespace tandem
