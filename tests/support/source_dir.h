// Where the source tree lies, for tests that read it. In a file of its own, so that no other object depends on that path.
#pragma once

#include <filesystem>

namespace tandem {

std::filesystem::path source_dir();

}  // namespace tandem
