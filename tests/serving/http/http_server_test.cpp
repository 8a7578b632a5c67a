// The server at its door: cases A1 to A5 and E1 of the list of attacks, with raw sockets. The handler echoes method, target and
// body.
#include "serving/http/http_server.h"

#include <gmock/gmock.h>
#include <malloc.h>

#include <atomic>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "kernels/base/error.h"
#include "tests/support/raw_client.h"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

const std::string kHost = "Host: t\r\n";
const std::string kGet = "GET /a HTTP/1.1\r\n" + kHost + "\r\n";
std::string post(std::string_view headers, std::string_view body = "") {
  return "POST /p HTTP/1.1\r\n" + kHost + std::string(headers) + "\r\n" + std::string(body);
}

void echo(const HttpRequest& request, const HttpRespond& respond) {
  respond({200, "text/plain",
           std::string(request.method()) + " " + std::string(request.target()) + " " + std::string(request.body())});
}

class HttpServerTest : public testing::Test {
 protected:
  HttpServerTest() {
    options.port = 0;
    options.limits.request_bytes = 1 << 20;
  }
  void start(HttpHandler handler = echo, HttpGate gate = {}) { server = std::make_unique<HttpServer>(options, std::move(handler), std::move(gate)); }
  RawClient client() const { return RawClient(server->port()); }
  // The answer to bytes after which the server must close the connection; and a normal request still works afterwards.
  std::string refused(std::string_view bytes) {
    RawClient bad = client();
    bad.send(bytes);
    std::string answer = bad.response();
    EXPECT_TRUE(bad.closes());
    EXPECT_THAT(client().ask(kGet), StartsWith("HTTP/1.1 200"));
    return answer;
  }

  HttpServerOptions options;
  std::unique_ptr<HttpServer> server;
};

TEST_F(HttpServerTest, KeepsTheConnectionAndAnswersInOrder) {
  start();
  RawClient one = client();
  EXPECT_THAT(one.ask(kGet), EndsWith("\r\n\r\nGET /a "));
  one.send(kGet + post("Content-Length: 3\r\n", "xyz") + kGet);
  EXPECT_THAT(one.response(), EndsWith("GET /a "));
  EXPECT_THAT(one.response(), EndsWith("POST /p xyz"));
  EXPECT_THAT(one.response(), EndsWith("GET /a "));
}

TEST_F(HttpServerTest, PiecesMayComeByteByByte) {
  start();
  RawClient one = client();
  for (const char c : post("Content-Length: 5\r\n", "hello")) {
    one.send(std::string_view(&c, 1));
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_THAT(one.response(), EndsWith("POST /p hello"));
  one.send("GET /long");
  std::this_thread::sleep_for(20ms);
  EXPECT_THAT(one.ask("-uri HTTP/1.1\r\n" + kHost + "\r\n"), EndsWith("GET /long-uri "));
}

// Long bodies are read to where they stay, and last as long as somebody keeps them.
TEST_F(HttpServerTest, BodiesOfAnyLengthMayBeKept) {
  options.limits.request_bytes = 8 << 20;
  std::vector<std::pair<std::string_view, std::shared_ptr<std::byte[]>>> kept;
  start([&](const HttpRequest& request, const HttpRespond& respond) {
    if (!request.body().empty()) kept.emplace_back(request.body(), request.body_memory());
    respond({200, "text/plain", std::to_string(request.body().size())});
  });
  std::mt19937 random(1);
  std::vector<std::string> sent;
  RawClient one = client();
  for (const size_t size : {1u, 100u, 65'536u, 70'000u, 1u << 20, (1u << 20) + 1, (2u << 20) + 4'095, 5'000'013u}) {
    std::string& body = sent.emplace_back(size, 'x');
    for (char& c : body) c = static_cast<char>(random());
    std::string bytes = post("Inference-Header-Content-Length: 37\r\nContent-Length: " + std::to_string(size) + "\r\n", body) + kGet;
    for (size_t at = 0; at < bytes.size();) {
      const bool only_headers = at == 0 && sent.size() % 2 == 0;
      const size_t piece = only_headers ? bytes.find("\r\n\r\n") + 4 : std::min<size_t>(bytes.size() - at, 1 + random() % 700'000);
      ASSERT_TRUE(one.send(std::string_view(bytes).substr(at, piece)));
      if (only_headers) std::this_thread::sleep_for(20ms);
      at += piece;
    }
    EXPECT_THAT(one.response(), EndsWith("\r\n\r\n" + std::to_string(size)));
    EXPECT_THAT(one.response(), EndsWith("\r\n\r\n0"));
  }
  ASSERT_EQ(kept.size(), sent.size());
  for (size_t i = 0; i < kept.size(); ++i) {
    EXPECT_TRUE(kept[i].second);
    EXPECT_TRUE(kept[i].first == sent[i]) << sent[i].size();
    EXPECT_EQ((reinterpret_cast<uintptr_t>(kept[i].first.data()) + 37) % 64, 0u) << "where the tensors begin";
  }
}

TEST_F(HttpServerTest, HeadHasNoBodyAndOldClientsAreClosed) {
  start();
  RawClient one = client();
  one.send("HEAD /a HTTP/1.1\r\n" + kHost + "\r\n");
  const std::string head = one.response(true);
  EXPECT_THAT(head, HasSubstr("Content-Length: 8\r\n"));
  EXPECT_THAT(head, EndsWith("\r\n\r\n"));
  EXPECT_THAT(one.ask(kGet), EndsWith("GET /a "));
  RawClient old = client();
  EXPECT_THAT(old.ask("GET /a HTTP/1.0\r\n\r\n"), HasSubstr("Connection: close"));
  EXPECT_TRUE(old.closes());
  RawClient polite = client();
  polite.ask("GET /a HTTP/1.1\r\nConnection: close\r\n" + kHost + "\r\n");
  EXPECT_TRUE(polite.closes());
}

TEST_F(HttpServerTest, ChunkedBodies) {
  start();
  EXPECT_THAT(client().ask(post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n4;x=1\r\ndefg\r\n0\r\nTrailer: 1\r\n\r\n")),
              EndsWith("POST /p abcdefg"));
  EXPECT_THAT(refused(post("Transfer-Encoding: chunked\r\n", "ffffffffffffffff\r\nabc")), StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(refused(post("Transfer-Encoding: chunked\r\n", "10000000000000000\r\nabc")), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(refused(post("Transfer-Encoding: chunked\r\n", "-1\r\nabc")), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(refused(post("Transfer-Encoding: chunked\r\n", "3\r\nabcd\r\n0\r\n\r\n")), StartsWith("HTTP/1.1 400"));
  std::string many;
  for (int i = 0; i < 100'000; ++i) many += "1\r\nx\r\n";
  EXPECT_THAT(refused(post("Transfer-Encoding: chunked\r\n", many)), HasSubstr("more than 65536 chunks (more are taken with a larger --max-body)"));
}

TEST_F(HttpServerTest, TrailersAndChunkLinesAreBounded) {
  start();
  const std::string chunked = "Transfer-Encoding: chunked\r\n", end = "3\r\nabc\r\n0\r\n", endless(1 << 20, '1');
  EXPECT_THAT(refused(post(chunked, end + "X: " + endless + "\r\n\r\n")), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(refused(post(chunked, end + "X: " + endless.substr(0, 70'000) + "\r\n\r\n")), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(refused(post(chunked, "3;" + endless)), StartsWith("HTTP/1.1 431"));
  std::string many;
  for (int i = 0; i < 200'000; ++i) many += "X: 1\r\n";
  EXPECT_THAT(refused(post(chunked, end + many + "\r\n")), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(client().ask(kGet), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, TrailersAreNoHeaders) {
  start([](const HttpRequest& request, const HttpRespond& respond) {
    respond({200, "text/plain",
             std::string(request.header("X").value_or("none")) + " " + std::string(request.header("Y").value_or("none"))});
  });
  const std::string body = "3\r\nabc\r\n0\r\nX: trailer\r\nY: trailer\r\n\r\n";
  EXPECT_THAT(client().ask(post("Transfer-Encoding: chunked\r\nY: header\r\n", body)), EndsWith("none header"));
}

TEST_F(HttpServerTest, ALengthThatCanBeReadInTwoWaysIsRefused) {
  start();
  for (const char* headers :
       {"Content-Length: 3\r\nContent-Length: 3\r\n", "Content-Length: 3\r\nContent-Length: 4\r\n", "Content-Length: 3, 4\r\n",
        "Content-Length: 3, 3\r\n", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Inference-Header-Content-Length: 1\r\nContent-Length: 3\r\nInference-Header-Content-Length: 2\r\n",
        "Content-Encoding: gzip\r\nContent-Length: 3\r\nContent-Encoding: deflate\r\n", "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, identity\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: -1\r\n", "Content-Length: 99999999999999999999\r\n", "Content-Length: 0x3\r\n", "Content-Length: +3\r\n",
        "Content-Length: \r\n"})
    EXPECT_THAT(refused(post(headers, "abc")), StartsWith("HTTP/1.1 400")) << headers;
}

TEST_F(HttpServerTest, HeadersAreBounded) {
  start();
  std::string many, one_too_many;
  for (int i = 0; i < 10'000; ++i) many += "X: 1\r\n";
  for (int64_t i = 0; i < options.limits.request_headers; ++i) one_too_many += "X: 1\r\n";
  EXPECT_THAT(refused(post(one_too_many)), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(refused(post(many)), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(refused(post("X: " + std::string(1 << 20, 'x') + "\r\n")), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(refused("GET /" + std::string(1 << 20, 'x') + " HTTP/1.1\r\n" + kHost + "\r\n"), StartsWith("HTTP/1.1 414"));
}

TEST_F(HttpServerTest, WhatIsNoHttpIsRefused) {
  start();
  using namespace std::string_literals;
  for (const std::string& bytes : {"GET /a\0b HTTP/1.1\r\nHost: t\r\n\r\n"s, "GET /a HTTP/1.1\r\nHost: t\r\nX: a\0b\r\n\r\n"s,
                                   "GET /a HTTP/1.1\r\nHost : t\r\n\r\n"s, "GET /a HTTP/9.9\r\nHost: t\r\n\r\n"s,
                                   "GET /a\r\n\r\n"s, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"s,
                                   "GET /a HTTP/1.1\r\n\r\n"s, "GET /a HTTP/1.1\r\nHost: t\r\nHost: u\r\n\r\n"s})
    EXPECT_THAT(refused(bytes), StartsWith("HTTP/1.1 400")) << bytes;
  EXPECT_THAT(refused(post("Expect: magic\r\nContent-Length: 1\r\n")), StartsWith("HTTP/1.1 417"));
}

TEST_F(HttpServerTest, BodiesAreBoundedBeforeTheyAreRead) {
  start();
  EXPECT_THAT(refused(post("Content-Length: 1048577\r\n")), StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(refused(post("Content-Length: 9223372036854775807\r\n")), StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(refused(post("Expect: 100-continue\r\nContent-Length: 1048577\r\n")), StartsWith("HTTP/1.1 413"));
  RawClient full = client();
  const std::string body(1 << 20, 'b');
  EXPECT_THAT(full.ask(post("Content-Length: 1048576\r\n", body)), EndsWith(body));
}

TEST_F(HttpServerTest, AsksForTheBodyWhenTheClientWaits) {
  start();
  RawClient one = client();
  EXPECT_EQ(one.ask(post("Expect: 100-continue\r\nContent-Length: 3\r\n")), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_THAT(one.ask("abc"), EndsWith("POST /p abc"));
  EXPECT_EQ(one.ask(post("Expect: 100-continue\r\nContent-Length: 3\r\n")), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_THAT(one.ask("def"), EndsWith("POST /p def"));
}

TEST_F(HttpServerTest, SlowRequestsAreTimedOut) {
  options.limits.request_timeout_ms = 300;
  start();
  EXPECT_THAT(refused("GET /a HT"), StartsWith("HTTP/1.1 408"));
  EXPECT_THAT(refused(post("Content-Length: 5\r\n", "abc")), StartsWith("HTTP/1.1 408"));
  RawClient drip = client();  // a byte now and then does not extend the time
  std::string answer;
  for (int i = 0; i < 100 && drip.send("G"); ++i) std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(drip.closes());
}

TEST_F(HttpServerTest, IdleConnectionsAreClosed) {
  options.idle_timeout = 200ms;
  start();
  RawClient silent = client(), used = client();
  used.ask(kGet);
  EXPECT_TRUE(silent.closes());
  EXPECT_TRUE(used.closes());
}

TEST_F(HttpServerTest, AClientThatDoesNotReadIsLetGo) {
  options.limits.request_timeout_ms = 300;
  start([](const HttpRequest&, const HttpRespond& respond) { respond({200, "text/plain", std::string(64 << 20, 'x')}); });
  RawClient deaf = client();
  deaf.send(kGet);
  std::this_thread::sleep_for(600ms);
  EXPECT_TRUE(deaf.closes());
  EXPECT_TRUE(server->stop(2s));
}

TEST_F(HttpServerTest, TooManyConnectionsArePolitelyRefusedAndItRecovers) {
  options.limits.connections = 8;
  start();
  std::vector<RawClient> held;
  for (int i = 0; i < 8; ++i) {
    held.push_back(client());
    EXPECT_THAT(held.back().ask(kGet), StartsWith("HTTP/1.1 200"));
  }
  RawClient extra = client();
  const std::string refusal = extra.response();
  EXPECT_THAT(refusal, StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(refusal, HasSubstr("more than 8 connections (the server's --connections)"));
  EXPECT_TRUE(extra.closes());
  std::vector<RawClient> flood;
  for (int i = 0; i < 200; ++i) flood.push_back(client());
  EXPECT_THAT(held[0].ask(kGet), StartsWith("HTTP/1.1 200"));
  flood.clear();
  held.clear();
  std::string answer;
  for (int i = 0; i < 100 && !answer.starts_with("HTTP/1.1 200"); ++i) {
    answer = client().ask(kGet);
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, AConnectionThatSaysNothingHoldsNoBuffer) {
  start();
  EXPECT_THAT(client().ask(kGet), StartsWith("HTTP/1.1 200"));
  std::vector<RawClient> held;
  held.reserve(200);
  const size_t before = mallinfo2().uordblks;
  for (int i = 0; i < 200; ++i) {
    held.push_back(client());
    EXPECT_THAT(held.back().ask(kGet), StartsWith("HTTP/1.1 200"));
  }
  EXPECT_LT(mallinfo2().uordblks - before, 200 * 8192u);
}

TEST_F(HttpServerTest, WhatHasComeOfTheNextRequestsIsKept) {
  start();
  RawClient one = client();
  std::string many;
  for (int i = 0; i < 5'000; ++i) many += "GET /" + std::to_string(i) + " HTTP/1.1\r\n" + kHost + "\r\n";  // several reads
  std::thread sender([&] { one.send(many); });
  for (int i = 0; i < 5'000; ++i) ASSERT_THAT(one.response(), EndsWith("GET /" + std::to_string(i) + " "));
  sender.join();
}

TEST_F(HttpServerTest, WhoIsRefusedIsToldAtOnceAndHeardAgainLater) {
  std::vector<std::chrono::steady_clock::time_point> asked;
  start([&](const HttpRequest&, const HttpRespond& respond) {
    asked.push_back(std::chrono::steady_clock::now());
    respond({asked.size() == 2 ? 200 : 429, "text/plain", "x"});
  });
  RawClient one = client();
  one.send(kGet + kGet + kGet);
  EXPECT_THAT(one.response(), StartsWith("HTTP/1.1 429"));
  EXPECT_THAT(one.response(), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(one.response(), StartsWith("HTTP/1.1 429"));
  EXPECT_GE(asked[1] - asked[0], 10ms);
  one.send(kGet);
  EXPECT_TRUE(server->stop(5s)) << "one that waits does not keep the server";
}

// The next request is long enough to wake the thread before the rest is over, or too short to, and may have come before the rest began.
TEST_F(HttpServerTest, NothingIsLostOfWhatComesToAConnectionThatRests) {
  std::atomic<int> asked{0};
  start([&](const HttpRequest& request, const HttpRespond& respond) {
    respond({asked++ % 3 == 2 ? 200 : 429, "text/plain", std::to_string(request.body().size())});
  });
  std::vector<RawClient> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(client());
  for (const size_t size : {1u, 100'000u, 10u, 16'000u, 17'000u, 300'000u, 5u})
    for (const auto pause : {0ms, 3ms, 15ms}) {
      for (RawClient& one : clients) ASSERT_TRUE(one.send(post("Content-Length: " + std::to_string(size) + "\r\n", std::string(size, 'x'))));
      for (RawClient& one : clients) EXPECT_THAT(one.response(), EndsWith("\r\n\r\n" + std::to_string(size)));
      std::this_thread::sleep_for(pause);
    }
  RawClient gone = client();
  EXPECT_EQ(asked, 8 * 21);
  clients.clear();
  EXPECT_TRUE(server->stop(5s)) << "their ends are heard, too";
}

TEST_F(HttpServerTest, TheGateRefusesABodyThatIsStillToComeAndTheConnectionGoesOn) {
  std::vector<size_t> announced;
  std::atomic<size_t> heads{0};
  std::atomic<int> handled{0};
  start(
      [&](const HttpRequest& request, const HttpRespond& respond) {
        ++handled;
        echo(request, respond);
      },
      [&](const HttpRequest& request) -> std::optional<HttpResponse> {
        announced.push_back(request.body_bytes());
        ++heads;
        if (!request.target().starts_with("/p")) return std::nullopt;
        return HttpResponse{429, "text/plain", "full"};
      });
  RawClient one = client();
  const auto begin = [&](std::string_view bytes) {
    const size_t before = heads;
    one.send(bytes);
    while (heads == before) std::this_thread::sleep_for(1ms);
  };
  const std::string body(700'000, 'x'), length = "Content-Length: 700000\r\n";
  for (const size_t first : {size_t{0}, size_t{1}, size_t{100'000}, body.size() - 1}) {
    begin(post(length, body.substr(0, first)));
    one.send(body.substr(first) + kGet);
    EXPECT_THAT(one.response(), EndsWith("\r\n\r\nfull"));
    EXPECT_THAT(one.response(), EndsWith("GET /a ")) << "the next request begins behind the body";
  }
  EXPECT_THAT(one.ask(post("Content-Length: 4\r\n", "body")), EndsWith("POST /p body")) << "has come whole: the handler's";
  begin("POST /q HTTP/1.1\r\n" + kHost + length + "\r\n");
  one.send(body);
  EXPECT_THAT(one.response(), EndsWith("POST /q " + body)) << "the gate lets it pass";
  EXPECT_EQ(handled, 6);
  EXPECT_EQ(announced, std::vector<size_t>(5, body.size()));
}

TEST_F(HttpServerTest, AClientThatGoesAwayInARefusedBodyIsForgotten) {
  std::atomic<bool> is_refused{false};
  start(echo, [&](const HttpRequest&) {
    is_refused = true;
    return HttpResponse{429, "text/plain", "full"};
  });
  RawClient one = client();
  one.send(post("Content-Length: 700000\r\n", "x"));
  while (!is_refused) std::this_thread::sleep_for(1ms);
  one.send(std::string(100'000, 'x'));
  one.close();
  EXPECT_TRUE(server->stop(5s));
}

TEST_F(HttpServerTest, WhatAHandlerThrowsIsA500) {
  start([](const HttpRequest&, const HttpRespond&) { throw std::runtime_error("secret"); });
  const std::string answer = client().ask(kGet);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 500"));
  EXPECT_THAT(answer, testing::Not(HasSubstr("secret")));
}

// Answers from threads of its own, after a while, as lanes do.
class SlowHandler {
 public:
  explicit SlowHandler(std::chrono::milliseconds time) : time_(time) {}
  ~SlowHandler() {
    for (std::thread& thread : threads_) thread.join();
  }
  HttpHandler handler() {
    return [this](const HttpRequest&, const HttpRespond& respond) {
      const std::lock_guard lock(mutex_);
      ++begun;
      threads_.emplace_back([this, respond] {
        std::this_thread::sleep_for(time_);
        respond({200, "text/plain", "late"});
      });
    };
  }
  std::atomic<int> begun{0};

 private:
  std::chrono::milliseconds time_;
  std::mutex mutex_;
  std::vector<std::thread> threads_;
};

TEST_F(HttpServerTest, AClientMayLeaveBeforeItsAnswer) {
  SlowHandler slow(50ms);
  start(slow.handler());
  for (int i = 0; i < 50; ++i) client().send(kGet);
  while (slow.begun < 50) std::this_thread::sleep_for(1ms);
  EXPECT_THAT(client().ask(kGet), EndsWith("late"));
  EXPECT_TRUE(server->stop(5s));
}

TEST_F(HttpServerTest, AHandlerIsToldWhenItsClientHasGone) {
  std::mutex mutex;
  std::vector<HttpRespond> waiting;
  std::atomic<int> gone{0};
  start([&](const HttpRequest& request, const HttpRespond& respond) {
    if (request.method() == "GET") return echo(request, respond);
    request.when_gone([&] { ++gone; });
    const std::lock_guard lock(mutex);
    waiting.push_back(respond);
  });
  const auto wait_for = [](auto&& happened) {
    for (int i = 0; i < 5'000 && !happened(); ++i) std::this_thread::sleep_for(1ms);
    return happened();
  };
  const auto count = [&] {
    const std::lock_guard lock(mutex);
    return waiting.size();
  };
  RawClient leaves = client(), stays = client();
  leaves.send(post("Content-Length: 0\r\n"));
  stays.send(post("Content-Length: 0\r\n") + kGet);  // the next request is no farewell
  ASSERT_TRUE(wait_for([&] { return count() == 2; }));
  leaves.close();
  EXPECT_TRUE(wait_for([&] { return gone == 1; }));
  for (const HttpRespond& respond : waiting) respond({200, "text/plain", "late", {}});
  EXPECT_THAT(stays.response(), EndsWith("late"));
  EXPECT_THAT(stays.response(), EndsWith("GET /a "));
  for (int i = 0; i < 3; ++i) {  // again on the same connection
    stays.send(post("Content-Length: 0\r\n"));
    ASSERT_TRUE(wait_for([&] { return count() == static_cast<size_t>(3 + i); }));
    waiting.back()({200, "text/plain", "again", {}});
    EXPECT_THAT(stays.response(), EndsWith("again"));
  }
  stays.send(post("Content-Length: 0\r\n"));
  ASSERT_TRUE(wait_for([&] { return count() == 6; }));
  stays.close();
  EXPECT_TRUE(wait_for([&] { return gone == 2; }));
}

TEST_F(HttpServerTest, StopFinishesWhatWasBegunAndTakesNoMore) {
  SlowHandler slow(300ms);
  start(slow.handler());
  RawClient idle = client(), busy = client(), half = client();
  busy.send(kGet);
  half.send("GET /a HTTP/1.1\r\n");
  while (slow.begun < 1) std::this_thread::sleep_for(1ms);
  std::thread stopping([&] { EXPECT_TRUE(server->stop(5s)); });
  std::this_thread::sleep_for(100ms);
  EXPECT_FALSE(client().connected());
  half.send(kHost + "\r\n");
  const std::string answer = busy.response();
  EXPECT_THAT(answer, EndsWith("late"));
  EXPECT_THAT(answer, HasSubstr("Connection: close"));
  EXPECT_THAT(half.response(), EndsWith("late"));
  EXPECT_TRUE(idle.closes());
  stopping.join();
}

TEST_F(HttpServerTest, StopGivesUpAtItsTimeout) {
  SlowHandler slow(1500ms);
  start(slow.handler());
  RawClient busy = client();
  busy.send(kGet);
  while (slow.begun < 1) std::this_thread::sleep_for(1ms);
  EXPECT_FALSE(server->stop(100ms));
  server.reset();
  EXPECT_TRUE(busy.closes());
}

TEST_F(HttpServerTest, APortInUseIsSaidPlainly) {
  start();
  options.port = server->port();
  try {
    HttpServer second(options, echo);
    ADD_FAILURE() << "two servers on one port";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_THAT(error.what(), HasSubstr("port " + std::to_string(options.port) + " of 127.0.0.1 is in use"));
  }
  options.host = "not-an-address";
  EXPECT_THROW(HttpServer(options, echo), Error);
}

}  // namespace
}  // namespace tandem
