// The bytes of a tensor that lie in a file beside the model.
//
// Four times a path check in ONNX's own reader was got round (docs/ExternalDataSecurity.md there); here the kernel does the check
// (open_beneath), and the bytes are read, never mapped, so that a file cut short meanwhile is an error and not a signal.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>

namespace tandem_onnx_proto {
class TensorProto;
}

namespace tandem {

// Fills the `bytes` bytes that `allocate` returns; it is called only after the file has been found to hold that many.
// Throws InvalidArgument for a location outside `folder`, anything but a plain file, and offsets or lengths that do not fit.
void read_external_data(const tandem_onnx_proto::TensorProto& proto, const std::filesystem::path& folder, int64_t bytes,
                        const std::function<std::span<std::byte>()>& allocate);

}  // namespace tandem
