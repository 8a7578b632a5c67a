// Files of a model that came with a request to load it, in a folder of their own until the model is made.
#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace tandem {

// By path beneath the model's folder: "1/model.onnx".
using UploadedFiles = std::map<std::string, std::string, std::less<>>;

class UploadedModel {
 public:
  // Writes them to a new folder that only this user may read. Throws InvalidArgument for a path that is not a version's number
  // and names behind it, that leads elsewhere, or that two files share; Unavailable if nothing can be written.
  explicit UploadedModel(const UploadedFiles& files);
  UploadedModel(const UploadedModel&) = delete;
  UploadedModel& operator=(const UploadedModel&) = delete;
  ~UploadedModel();

  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_;
};

}  // namespace tandem
