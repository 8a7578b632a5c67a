// What HTTP adds to an inference: a closed loop over 1 and 32 keep-alive connections against a server in this process, beside the
// same model run by an Executor directly and beside a request that computes nothing (/v2/health/live).
//
// The answer over HTTP is compared with the in-process one, bit for bit, before anything is timed. Rounds of all cases are
// interleaved; the figures are percentiles over all rounds. Usage: http_bench [rounds] [requests a round]
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "kernels/base/philox.h"
#include "runtime/exec/executor.h"
#include "runtime/onnx/onnx.h"
#include "runtime/graph/op_def.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/pass_manager.h"
#include "serving/http/inference_server.h"

namespace tandem {
namespace {

using Clock = std::chrono::steady_clock;

Tensor random_tensor(const Shape& shape, uint64_t key) {
  Tensor tensor(DType::kF32, shape);
  uint64_t counter = 0;
  for (float& value : tensor.as<float>()) value = 0.2f * (unit_float(philox(key, counter++, 0)[0]) - 0.5f);
  return tensor;
}

// MLP 30-256-256-2.
Graph make_mlp() {
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}};
  ValueId x = graph.add_input("x", DType::kF32, {"batch", 30});
  const int64_t widths[] = {30, 256, 256, 2};
  for (int layer = 0; layer < 3; ++layer) {
    const ValueId w = graph.add_constant(fmt::format("w{}", layer), random_tensor({widths[layer], widths[layer + 1]}, 1));
    const ValueId b = graph.add_constant(fmt::format("b{}", layer), random_tensor({widths[layer + 1]}, 2));
    x = graph.add_node(newest_op("Gemm"), {x, w, b}, 1)[0];
    if (layer < 2) x = graph.add_node(newest_op("Relu"), {x}, 1)[0];
  }
  graph.value(x).name = std::string("y");
  graph.outputs = {x};
  return graph;
}

class Connection {
 public:
  explicit Connection(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, ErrorCode::kUnavailable,
          "cannot connect", port);
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  Connection(Connection&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}
  ~Connection() {
    if (socket_ >= 0) ::close(socket_);
  }
  int socket() const { return socket_; }
  void send(std::string_view request) {
    sent_ = Clock::now();
    answer_.clear();
    check(::send(socket_, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size()),
          ErrorCode::kUnavailable, "send failed");
  }
  // Reads what is there; true once the answer is whole.
  bool receive() {
    char bytes[65536];
    const ssize_t n = ::recv(socket_, bytes, sizeof bytes, 0);
    check(n > 0, ErrorCode::kUnavailable, "the server closed the connection");
    answer_.append(bytes, static_cast<size_t>(n));
    const size_t end = answer_.find("\r\n\r\n"), at = answer_.find("Content-Length: ");
    if (end == std::string::npos) return false;
    check(answer_.starts_with("HTTP/1.1 200"), ErrorCode::kInternal, "not answered", answer_);
    return answer_.size() >= end + 4 + static_cast<size_t>(std::atoll(answer_.c_str() + at + 16));
  }
  double microseconds() const { return std::chrono::duration<double, std::micro>(Clock::now() - sent_).count(); }
  const std::string& answer() const { return answer_; }

 private:
  int socket_;
  Clock::time_point sent_;
  std::string answer_;
};

// Each connection sends its next request as soon as it has its answer.
void closed_loop(std::vector<Connection>& connections, std::string_view request, int count, std::vector<double>& times) {
  std::vector<pollfd> waits;
  for (Connection& connection : connections) {
    connection.send(request);
    waits.push_back({connection.socket(), POLLIN, 0});
  }
  int sent = static_cast<int>(connections.size()), open = sent;
  while (open > 0) {
    if (connections.size() > 1) ::poll(waits.data(), waits.size(), -1);
    for (size_t i = 0; i < connections.size(); ++i) {
      if (waits[i].fd < 0 || (connections.size() > 1 && !(waits[i].revents & POLLIN))) continue;
      if (!connections[i].receive()) continue;
      times.push_back(connections[i].microseconds());
      if (sent++ < count)
        connections[i].send(request);
      else
        waits[i].fd = -1, --open;
    }
  }
}

std::string http_request(std::string_view path, std::string_view body, std::string_view headers = "") {
  return fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{}\r\n{}", path, body.size(), headers, body);
}

std::string binary_request(const Tensor& x) {
  std::string body =
      fmt::format(R"({{"inputs":[{{"name":"x","shape":[{},30],"datatype":"FP32","parameters":{{"binary_data_size":{}}}}}],)"
                  R"("parameters":{{"binary_data_output":true}}}})",
                  x.shape()[0], x.bytes());
  const std::string header = fmt::format("Inference-Header-Content-Length: {}\r\n", body.size());
  body.append(reinterpret_cast<const char*>(x.view().data), x.bytes());
  return http_request("/v2/models/mlp/infer", body, header);
}

std::string json_request(const Tensor& x) {
  std::string data;
  for (float value : x.as<float>()) data += fmt::format("{}{}", data.empty() ? "" : ",", value);
  return http_request(
      "/v2/models/mlp/infer",
      fmt::format(R"({{"inputs":[{{"name":"x","shape":[{},30],"datatype":"FP32","data":[{}]}}]}})", x.shape()[0], data));
}

double percentile(std::vector<double>& times, double share) {
  const auto at = times.begin() + static_cast<ptrdiff_t>(share * static_cast<double>(times.size() - 1));
  std::nth_element(times.begin(), at, times.end());
  return *at;
}

struct Case {
  std::string name;
  std::function<void(int count, std::vector<double>&)> run;
  std::vector<double> times = {};
};

void run_in_process(Executor& executor, const Tensor& x, int count, std::vector<double>& times) {
  const std::vector<ConstTensorView> inputs{x.view()};
  for (int i = 0; i < count; ++i) {
    const auto begin = Clock::now();
    executor.run(inputs);
    times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
  }
}

void validate(Executor& executor, const Tensor& x, int port) {
  Connection connection(port);
  connection.send(binary_request(x));
  while (!connection.receive()) {
  }
  const ConstTensorView y = executor.run(std::vector<ConstTensorView>{x.view()})[0];
  const std::string& answer = connection.answer();
  const bool same = answer.size() > y.bytes() && std::memcmp(answer.data() + answer.size() - y.bytes(), y.data, y.bytes()) == 0;
  ensure(same, "the answer over HTTP is not the in-process one");
}

void bench(int rounds, int count) {
  const std::filesystem::path root = std::filesystem::temp_directory_path() / fmt::format("tandem-http-bench-{}", getpid());
  std::filesystem::create_directories(root / "mlp/1");
  save_onnx(make_mlp(), root / "mlp/1/model.onnx");
  InferenceServerOptions options;
  options.repository = root;
  options.http.port = 0;
  options.lanes = 1;
  InferenceServer server(options);
  std::filesystem::remove_all(root);

  Graph graph = make_mlp();
  run_passes(graph);
  Executor executor(make_plan(std::move(graph), {}));
  const Tensor one = random_tensor({1, 30}, 3), many = random_tensor({64, 30}, 4);
  validate(executor, one, server.port());
  validate(executor, many, server.port());

  std::vector<Connection> single, crowd;
  single.emplace_back(server.port());
  for (int i = 0; i < 32; ++i) crowd.emplace_back(server.port());
  const std::string live = "GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const auto over = [](std::vector<Connection>& connections, std::string request) {
    return [&connections, request](int n, std::vector<double>& times) { closed_loop(connections, request, n, times); };
  };
  std::vector<Case> cases{
      {"in process, batch 1", [&](int n, std::vector<double>& times) { run_in_process(executor, one, n, times); }},
      {"in process, batch 64", [&](int n, std::vector<double>& times) { run_in_process(executor, many, n, times); }},
      {"health/live, 1 connection", over(single, live)},
      {"infer binary, batch 1, 1 connection", over(single, binary_request(one))},
      {"infer JSON, batch 1, 1 connection", over(single, json_request(one))},
      {"infer binary, batch 64, 1 connection", over(single, binary_request(many))},
      {"health/live, 32 connections", over(crowd, live)},
      {"infer binary, batch 1, 32 connections", over(crowd, binary_request(one))},
  };
  std::vector<double> warm_up;
  for (Case& one_case : cases) one_case.run(count / 10 + 32, warm_up);
  std::vector<double> seconds(cases.size(), 0);
  for (int round = 0; round < rounds; ++round)
    for (size_t i = 0; i < cases.size(); ++i) {
      const auto begin = Clock::now();
      cases[i].run(count, cases[i].times);
      seconds[i] += std::chrono::duration<double>(Clock::now() - begin).count();
    }
  fmt::print("{:<40} {:>9} {:>9} {:>12}\n", "MLP 30-256-256-2", "p50 us", "p99 us", "requests/s");
  for (size_t i = 0; i < cases.size(); ++i)
    fmt::print("{:<40} {:>9.1f} {:>9.1f} {:>12.0f}\n", cases[i].name, percentile(cases[i].times, 0.5),
               percentile(cases[i].times, 0.99), static_cast<double>(cases[i].times.size()) / seconds[i]);
  fmt::print("HTTP adds at p50, batch 1, 1 connection: {:.1f} us binary, {:.1f} us JSON\n",
             percentile(cases[3].times, 0.5) - percentile(cases[0].times, 0.5),
             percentile(cases[4].times, 0.5) - percentile(cases[0].times, 0.5));
}

}  // namespace
}  // namespace tandem

int main(int argc, char** argv) {
  try {
    tandem::bench(argc > 1 ? std::atoi(argv[1]) : 5, argc > 2 ? std::atoi(argv[2]) : 4000);
  } catch (const tandem::Error& error) {
    fmt::print(stderr, "http_bench: {}\n", error.what());
    return 1;
  }
}
