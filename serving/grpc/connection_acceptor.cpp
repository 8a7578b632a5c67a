#include "serving/grpc/connection_acceptor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>
#include <unordered_map>

#include "kernels/base/error.h"
#include "runtime/io/file_descriptor.h"
#include "serving/monitor/process_stats.h"

namespace tandem {
namespace {

constexpr int64_t kSpareFds = 32;       // kept for files, wake-ups and refusals
constexpr int64_t kCountEvery = 16;     // connections between two looks at how many descriptors are open
constexpr int kBacklog = 1024;
constexpr int kRetryMs = 20;            // after an accept that failed for want of memory or descriptors

// An IPv4 or IPv6 address with a port, as the system wants it.
struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

Address parse_address(const std::string& host, int port) {
  const std::string& text = host == "localhost" ? "127.0.0.1" : host;
  Address address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<uint16_t>(port));
    address.size = sizeof *v4;
  } else if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(static_cast<uint16_t>(port));
    address.size = sizeof *v6;
  }
  require(address.size > 0, "host must be an IP address, such as 127.0.0.1 or 0.0.0.0", host);
  return address;
}

FileDescriptor listen_on(const AcceptorOptions& options) {
  const Address address = parse_address(options.host, options.port);
  FileDescriptor socket(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  if (socket && ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.size) == 0 &&
      ::listen(socket.get(), kBacklog) == 0)
    return socket;
  const int error = errno;
  if (error == EADDRINUSE)
    fail(ErrorCode::kUnavailable, "port " + std::to_string(options.port) + " of " + options.host +
                                      " is in use: stop the other program or choose another port (0 picks a free one)");
  fail(ErrorCode::kUnavailable, "cannot listen on " + options.host + ":" + std::to_string(options.port), {system_message(error)});
}

int port_of(int socket) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  ensure(::getsockname(socket, reinterpret_cast<sockaddr*>(&storage), &size) == 0, "a listening socket has no address");
  return ntohs(storage.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port
                                             : reinterpret_cast<sockaddr_in*>(&storage)->sin_port);
}

// The connections that were handed on and are still open. Nobody tells of their end, so it is looked up when there is no room: a
// descriptor that is closed, or another file by now, has gone.
class OpenConnections {
 public:
  explicit OpenConnections(int64_t most) : most_(most) {}

  bool has_room() {
    if (static_cast<int64_t>(inodes_.size()) < most_) return true;
    std::erase_if(inodes_, [](const auto& entry) { return inode_of(entry.first) != entry.second; });
    return static_cast<int64_t>(inodes_.size()) < most_;
  }
  void add(int socket) { inodes_[socket] = inode_of(socket); }

 private:
  static ino_t inode_of(int fd) {
    struct stat status {};
    return ::fstat(fd, &status) == 0 ? status.st_ino : 0;
  }

  int64_t most_;
  std::unordered_map<int, ino_t> inodes_;
};

// How many descriptors may still be opened, counted afresh now and then: listing them costs time.
class DescriptorBudget {
 public:
  bool take_one() {
    if (until_count_ <= 0 || left_ <= 0) {
      const ProcessStats stats = process_stats();
      left_ = stats.max_fds - stats.open_fds - kSpareFds;
      until_count_ = kCountEvery;
    }
    --until_count_;
    return left_-- > 0;
  }

 private:
  int64_t left_ = 0, until_count_ = 0;
};

}  // namespace

class ConnectionAcceptor::Impl {
 public:
  explicit Impl(const AcceptorOptions& options)
      : listener_(listen_on(options)), port_(port_of(listener_.get())), wake_(::eventfd(0, EFD_CLOEXEC)), open_(options.connections) {
    check(static_cast<bool>(wake_), ErrorCode::kUnavailable, "no descriptor is left to listen with");
  }
  ~Impl() { stop(); }

  void start(Take take) {
    take_ = std::move(take);
    thread_ = std::thread([this] { accept_all(); });
  }
  void stop() {
    if (!thread_.joinable()) return;
    stopping_ = true;
    ::eventfd_write(wake_.get(), 1);
    thread_.join();
    listener_ = FileDescriptor();
  }
  int port() const { return port_; }
  int64_t refused() const { return refused_; }

 private:
  void accept_all() {
    pollfd ready[] = {{listener_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    while (!stopping_) {
      ::poll(ready, 2, -1);
      while (!stopping_ && accept_one()) {
      }
    }
  }

  // False when there is nothing to accept for now.
  bool accept_one() {
    const int socket = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) wait_a_little();
      return true;
    }
    if (!budget_.take_one() || !open_.has_room()) {
      ++refused_;
      ::close(socket);
      return true;
    }
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    open_.add(socket);
    take_(socket, listener_.get());
    return true;
  }

  void wait_a_little() {
    pollfd stop{wake_.get(), POLLIN, 0};
    ::poll(&stop, 1, kRetryMs);
  }

  FileDescriptor listener_;
  int port_;
  FileDescriptor wake_;
  OpenConnections open_;
  DescriptorBudget budget_;
  Take take_;
  std::atomic<bool> stopping_{false};
  std::atomic<int64_t> refused_{0};
  std::thread thread_;
};

ConnectionAcceptor::ConnectionAcceptor(const AcceptorOptions& options) : impl_(std::make_unique<Impl>(options)) {}
ConnectionAcceptor::~ConnectionAcceptor() = default;
void ConnectionAcceptor::start(Take take) { impl_->start(std::move(take)); }
void ConnectionAcceptor::stop() { impl_->stop(); }
int ConnectionAcceptor::port() const { return impl_->port(); }
int64_t ConnectionAcceptor::refused() const { return impl_->refused(); }

}  // namespace tandem
