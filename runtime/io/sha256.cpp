// SHA-256 by OpenSSL's EVP interface, which picks the processor's SHA instructions where it has them.
#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include "kernels/base/error.h"
#include "runtime/io/file.h"
#include "runtime/io/file_digest.h"

namespace tandem {
namespace {

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new()) {
    ensure(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1, "OpenSSL has no SHA-256");
  }
  void update(std::string_view bytes) {
    ensure(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1, "OpenSSL failed to hash");
  }
  std::string hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned int size = 0;
    ensure(EVP_DigestFinal_ex(context_.get(), digest.data(), &size) == 1, "OpenSSL failed to hash");
    std::string text;
    for (unsigned int i = 0; i < size; ++i) {
      text += "0123456789abcdef"[digest[i] >> 4];
      text += "0123456789abcdef"[digest[i] & 15];
    }
    return text;
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

}  // namespace

std::string sha256(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

namespace {

std::string hash_of(const FileDescriptor& file, const std::string& name) {
  std::vector<char> buffer(size_t{256} << 10);
  Sha256 hash;
  for (off_t at = 0;;) {
    const ssize_t count = ::pread(file.get(), buffer.data(), buffer.size(), at);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(ErrorCode::kUnavailable, "cannot read file", {name, system_message(errno)});
    if (count == 0) return hash.hex();
    hash.update({buffer.data(), static_cast<size_t>(count)});
    at += count;
  }
}

}  // namespace

std::string sha256_file(const std::filesystem::path& path) { return hash_of(open_regular(path), path.string()); }
std::string sha256_file(const FileDescriptor& file) { return hash_of(file, "of a model"); }

}  // namespace tandem
