// What it takes to read a request: JSON with the numbers of an image, beside simdjson's tree of the same text; and a binary tensor of 64 MiB over one
// connection, beside a copy of as many bytes and a socket whose other end throws them away.
//
// What is read is compared with the C library's numbers, and the answer over HTTP with the value that was sent, before anything is timed. JSON by the thread's
// processor time, the best of all rounds. Usage: body_bench [rounds]
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <simdjson.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "runtime/graph/op_def.h"
#include "runtime/onnx/onnx.h"
#include "runtime/ops/all_ops.h"
#include "serving/http/inference_server.h"
#include "serving/protocol/infer_request.h"

namespace tandem {
namespace {

constexpr size_t kNumbers = 150'528;  // 3 x 224 x 224
constexpr size_t kBytes = 64 << 20;

double processor_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}
double wall_seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

std::string request_of(const std::vector<std::string>& numbers, std::string_view separator) {
  std::string data;
  for (const std::string& number : numbers) (data += data.empty() ? "" : separator) += number;
  return R"({"inputs":[{"name":"images","shape":[1,3,224,224],"datatype":"FP32","data":[)" + data + "]}]}";
}

void bench_json(int rounds) {
  std::mt19937_64 random(1);
  std::normal_distribution<float> normal;
  fmt::print("{:<44} {:>9} {:>12} {:>14}\n", "JSON, 150,528 numbers", "bytes", "GB/s", "simdjson GB/s");
  for (const auto& [name, form, positive, separator] :
       {std::tuple("pixels from 0 to 1, 3 places, ','", "%.3f", true, ","), {"the same, ', '", "%.3f", true, ", "}, {"normal, 3 places, ', '", "%.3f", false, ", "},
        {"normal, 9 digits, ','", "%.9g", false, ","}, {"normal, 17 digits, ', '", "%.17g", false, ", "}}) {
    std::vector<std::string> numbers;
    std::vector<float> wanted;
    for (size_t i = 0; i < kNumbers; ++i) {
      char text[64];
      const double value = positive ? static_cast<double>(random() >> 11) * 0x1p-53 : static_cast<double>(normal(random));
      std::snprintf(text, sizeof text, form, value);
      numbers.emplace_back(text);
      wanted.push_back(static_cast<float>(std::strtod(text, nullptr)));
    }
    const std::string body = request_of(numbers, separator);
    double own = 1e9, tree = 1e9, sum = 0;
    simdjson::dom::parser parser;
    for (int round = 0; round < rounds * 10; ++round) {
      double begin = processor_seconds();
      const InferRequest request = parse_infer_request(body, {}, Limits{});
      own = std::min(own, processor_seconds() - begin);
      ensure(std::memcmp(request.inputs[0].tensor.view().data, wanted.data(), kNumbers * sizeof(float)) == 0, "not the numbers that were sent");
      begin = processor_seconds();
      for (const simdjson::dom::element element : parser.parse(body)["inputs"].at(0)["data"].get_array()) sum += static_cast<float>(element.get_double());
      tree = std::min(tree, processor_seconds() - begin);
    }
    ensure(sum != 0, "no numbers");
    fmt::print("{:<44} {:>9} {:>12.2f} {:>14.2f}\n", name, body.size(), 1e-9 * static_cast<double>(body.size()) / own, 1e-9 * static_cast<double>(body.size()) / tree);
  }
}

// The first element of each row.
Graph make_first() {
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}};
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", static_cast<int64_t>(kBytes / sizeof(float))});
  const auto number = [&](const char* name, int64_t value) { return graph.add_constant(name, Tensor::of<int64_t>({1}, {value})); };
  const ValueId y = graph.add_node(newest_op("Slice"), {x, number("from", 0), number("to", 1), number("axis", 1)}, 1)[0];
  graph.value(y).name = std::string("y");
  graph.outputs = {y};
  return graph;
}

int connected(int port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  check(::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, ErrorCode::kUnavailable, "cannot connect", port);
  return socket;
}

void send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    check(n > 0, ErrorCode::kUnavailable, "send failed");
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

// Takes messages of kBytes into the same memory, and answers each with a byte.
class Sink {
 public:
  Sink() : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    ensure(::bind(listener_, reinterpret_cast<sockaddr*>(&address), length) == 0 && ::listen(listener_, 1) == 0, "no socket");
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~Sink() {
    thread_.join();
    ::close(listener_);
  }
  int port() const { return port_; }

 private:
  void serve() const {
    const int socket = ::accept(listener_, nullptr, nullptr);
    std::vector<char> memory(1 << 20);
    size_t received = 0;
    for (ssize_t n; (n = ::recv(socket, memory.data(), std::min(memory.size(), kBytes - received), 0)) > 0;)
      if ((received += static_cast<size_t>(n)) == kBytes) {
        received = 0;
        send_all(socket, ".");
      }
    ::close(socket);
  }

  int listener_, port_ = 0;
  std::thread thread_;
};

std::string answer(int socket, size_t least) {
  std::string text(4096, '\0');
  size_t bytes = 0;
  while (bytes < least) {
    const ssize_t n = ::recv(socket, text.data() + bytes, text.size() - bytes, 0);
    check(n > 0, ErrorCode::kUnavailable, "the server closed the connection");
    bytes += static_cast<size_t>(n);
  }
  text.resize(bytes);
  return text;
}

void bench_binary(int rounds) {
  const std::filesystem::path root = std::filesystem::temp_directory_path() / fmt::format("tandem-body-bench-{}", getpid());
  std::filesystem::create_directories(root / "first/1");
  save_onnx(make_first(), root / "first/1/model.onnx");
  InferenceServerOptions options;
  options.repository = root;
  options.http.port = 0;
  options.http.limits.request_bytes = 2 * kBytes;
  InferenceServer server(options);
  std::filesystem::remove_all(root);

  const std::string json = fmt::format(
      R"({{"inputs":[{{"name":"x","shape":[1,{}],"datatype":"FP32","parameters":{{"binary_data_size":{}}}}}],"parameters":{{"binary_data_output":true}}}})", kBytes / sizeof(float), kBytes);
  std::string request = fmt::format("POST /v2/models/first/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\nInference-Header-Content-Length: {}\r\n\r\n{}",
                                    json.size() + kBytes, json.size(), json);
  const size_t head = request.size();
  request.resize(head + kBytes, 'a');
  const std::string_view bytes = std::string_view(request).substr(head);
  std::vector<char> copy(kBytes);
  const Sink sink;
  const int to_server = connected(server.port()), to_sink = connected(sink.port());
  double memory = 1e9;
  std::vector<double> served, thrown;
  for (int round = 0; round <= rounds; ++round) {
    double begin = wall_seconds();
    std::memcpy(copy.data(), bytes.data(), kBytes);
    memory = std::min(memory, wall_seconds() - begin);
    begin = wall_seconds();
    send_all(to_server, request);
    const std::string text = answer(to_server, 100);
    served.push_back(wall_seconds() - begin);
    ensure(text.starts_with("HTTP/1.1 200") && text.ends_with("aaaa"), "not the value that was sent", text);
    begin = wall_seconds();
    send_all(to_sink, bytes);
    answer(to_sink, 1);
    thrown.push_back(wall_seconds() - begin);
  }
  ::close(to_sink);
  ::close(to_server);
  const auto rate = [](std::vector<double>& times) {
    std::ranges::sort(times);
    return 1e-9 * static_cast<double>(kBytes) / times[times.size() / 2];
  };
  const double own = rate(served), bare = rate(thrown);
  fmt::print("a binary tensor of 64 MiB: {:.2f} GB/s; a socket that throws it away {:.2f} GB/s ({:.2f} of it); memory is copied at {:.2f} GB/s ({:.2f} of it)\n", own, bare, own / bare,
             1e-9 * static_cast<double>(kBytes) / memory, own * memory / (1e-9 * static_cast<double>(kBytes)));
}

}  // namespace
}  // namespace tandem

int main(int argc, char** argv) {
  try {
    const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 10;
    tandem::bench_json(rounds);
    tandem::bench_binary(rounds);
  } catch (const tandem::Error& error) {
    fmt::print(stderr, "body_bench: {}\n", error.what());
    return 1;
  }
}
