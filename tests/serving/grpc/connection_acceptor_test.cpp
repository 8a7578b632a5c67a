#include "serving/grpc/connection_acceptor.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <vector>

#include "kernels/base/error.h"
#include "runtime/io/file_descriptor.h"

namespace tandem {
namespace {

FileDescriptor connect_to(int port) {
  FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  return socket;
}

// Blocks until the other side has closed.
bool is_closed_by_peer(const FileDescriptor& socket) {
  char byte;
  return ::recv(socket.get(), &byte, 1, 0) <= 0;
}

class Taken {
 public:
  void add(int socket) {
    const std::lock_guard lock(mutex_);
    sockets_.emplace_back(socket);
    changed_.notify_all();
  }
  void wait_for(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return sockets_.size() >= count; });
  }
  void close_all() {
    const std::lock_guard lock(mutex_);
    sockets_.clear();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<FileDescriptor> sockets_;
};

TEST(ConnectionAcceptor, HandsConnectionsOnWithinItsLimit) {
  Taken taken;
  ConnectionAcceptor acceptor({.host = "localhost", .port = 0, .connections = 2});
  ASSERT_GT(acceptor.port(), 0);
  acceptor.start([&](int socket, int) { taken.add(socket); });
  const FileDescriptor first = connect_to(acceptor.port()), second = connect_to(acceptor.port());
  taken.wait_for(2);
  EXPECT_TRUE(is_closed_by_peer(connect_to(acceptor.port())));
  EXPECT_EQ(acceptor.refused(), 1);
  taken.close_all();  // nobody tells the acceptor
  const FileDescriptor third = connect_to(acceptor.port());
  taken.wait_for(1);
  acceptor.stop();
  acceptor.stop();
}

TEST(ConnectionAcceptor, SaysWhatItCannotListenOn) {
  const auto fault = [](const AcceptorOptions& options) {
    try {
      ConnectionAcceptor acceptor(options);
    } catch (const Error& error) {
      return std::string(name(error.code())) + ": " + error.what();
    }
    return std::string();
  };
  ConnectionAcceptor other({.host = "127.0.0.1", .port = 0});
  EXPECT_THAT(fault({.host = "127.0.0.1", .port = other.port()}), ::testing::StartsWith("Unavailable: port"));
  EXPECT_EQ(fault({.host = "somewhere", .port = 0}), "InvalidArgument: host must be an IP address, such as 127.0.0.1 or 0.0.0.0: somewhere");
}

}  // namespace
}  // namespace tandem
