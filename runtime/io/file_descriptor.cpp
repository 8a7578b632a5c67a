#include "runtime/io/file_descriptor.h"

#include <unistd.h>

#include <system_error>

namespace tandem {

FileDescriptor::~FileDescriptor() { reset(); }

// An interrupted close() has closed the descriptor on Linux: it must not be tried again.
void FileDescriptor::reset() {
  if (const int fd = std::exchange(fd_, -1); fd >= 0) ::close(fd);
}

std::string system_message(int number) { return std::generic_category().message(number); }

}  // namespace tandem
