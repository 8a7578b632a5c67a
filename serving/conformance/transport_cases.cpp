// HTTP/1.1 itself, as clients of the protocol use it: connections kept, bodies in pieces, compression, lengths that contradict
// each other.
#include <zlib.h>

#include <array>

#include "serving/conformance/http_infer-inl.h"
#include "serving/conformance/wire_case.h"

namespace tandem {
namespace {

using namespace wire;

std::string right_request(const ServerUnderTest& server, const HttpHeaders& headers = {}) {
  server.need_model(std::string(kSumModel));
  return server.http().request("POST", infer_path(), sum_request().dump(), headers);
}

void expect_answers(const std::vector<HttpReply>& replies) {
  for (const HttpReply& reply : replies) expect_sum(answered(reply), 1);
}

std::string chunked(const std::string& head, const std::string& body, size_t piece) {
  std::string text = head + "Transfer-Encoding: chunked\r\n\r\n";
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (size_t at = 0; at < body.size(); at += piece) {
    const std::string part = body.substr(at, piece);
    text += std::string{kDigits[part.size() / 16], kDigits[part.size() % 16]} + "\r\n" + part + "\r\n";
  }
  return text + "0\r\n\r\n";
}

std::string head_of(const ServerUnderTest& server) {
  server.need_model(std::string(kSumModel));
  return "POST " + infer_path() + " HTTP/1.1\r\nHost: " + server.http().address().host + "\r\n";
}

constexpr int kGzip = 15 + 16, kZlib = 15;  // window bits as zlib wants them

std::string packed(const std::string& text, int window) {
  z_stream stream{};
  ensure(::deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) == Z_OK,
         "zlib does not start");
  std::string bytes(::deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(bytes.data());
  stream.avail_out = static_cast<uInt>(bytes.size());
  const int done = ::deflate(&stream, Z_FINISH);
  bytes.resize(stream.total_out);
  ::deflateEnd(&stream);
  ensure(done == Z_STREAM_END, "zlib does not compress");
  return bytes;
}

std::string unpacked(const std::string& bytes, int window) {
  z_stream stream{};
  ensure(::inflateInit2(&stream, window) == Z_OK, "zlib does not start");
  std::string text(size_t{1} << 20, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  const int done = ::inflate(&stream, Z_FINISH);
  text.resize(stream.total_out);
  ::inflateEnd(&stream);
  expect(done == Z_STREAM_END, "the body must be compressed as its header says");
  return text;
}

void add_connections(WireTopic& topic) {
  topic
      .add("three requests on one connection",
           [](const ServerUnderTest& server, size_t) {
             const std::string one = right_request(server);
             expect_answers(server.http().talk({one, one, one}, 3));
           })
      .add("requests sent before their answers are read",
           [](const ServerUnderTest& server, size_t) {
             const std::string one = right_request(server);
             expect_answers(server.http().talk({one + one + one}, 3));
           })
      .add("a request in many pieces",
           [](const ServerUnderTest& server, size_t) {
             const std::string one = right_request(server);
             std::vector<std::string> pieces;
             for (size_t at = 0; at < one.size(); at += 37) pieces.push_back(one.substr(at, 37));
             expect_answers(server.http().talk(pieces, 1));
           })
      .add("a chunked body",
           [](const ServerUnderTest& server, size_t) {
             expect_answers(server.http().talk({chunked(head_of(server), sum_request().dump(), 100)}, 1));
           })
      .add("a chunked body, byte by byte",
           [](const ServerUnderTest& server, size_t) {
             expect_answers(server.http().talk({chunked(head_of(server), sum_request().dump(), 1)}, 1));
           })
      .add("Expect: 100-continue",
           [](const ServerUnderTest& server, size_t) {
             const std::string one = right_request(server, {{"Expect", "100-continue"}});
             const size_t body = one.find("\r\n\r\n") + 4;
             const std::vector<HttpReply> replies = server.http().talk({one.substr(0, body), one.substr(body)}, 1);
             if (replies[0].status != 100)
               return expect_answers(replies);  // it answered without: allowed when the body is already there
             expect_sum(answered(server.http().talk({one.substr(0, body), one.substr(body)}, 2)[1]), 1);
           })
      .add("headers in any case", [](const ServerUnderTest& server, size_t) {
        server.need_model(std::string(kSumModel));
        const std::string body = sum_request().dump();
        expect_answers(server.http().talk({"POST " + infer_path() + " HTTP/1.1\r\nhOST: x\r\ncontent-LENGTH: " +
                                           std::to_string(body.size()) + "\r\n\r\n" + body},
                                          1));
      });
}

// Two servers in a row that read a length differently can be talked past each other: request smuggling (RFC 9112, 6.3 and 11.2).
void add_lengths(WireTopic& topic) {
  topic
      .add("two lengths that differ",
           [](const ServerUnderTest& server, size_t) {
             const std::string body = sum_request().dump(), length = std::to_string(body.size());
             const std::string head = head_of(server) + "Content-Length: " + length + "\r\nContent-Length: 5\r\n\r\n";
             expect(server.http().talk({head + body}, 1)[0].status == 400, "the status must be 400");
           })
      .add("a length and chunks",
           [](const ServerUnderTest& server, size_t) {
             const HttpReply reply =
                 server.http().talk({chunked(head_of(server) + "Content-Length: 5\r\n", sum_request().dump(), 100)}, 1)[0];
             expect(reply.status == 400, "the status must be 400", reply.status);
           })
      .add("a length that is negative",
           [](const ServerUnderTest& server, size_t) {
             const HttpReply reply = server.http().talk({head_of(server) + "Content-Length: -1\r\n\r\n"}, 1)[0];
             expect(reply.status == 400, "the status must be 400", reply.status);
           })
      .add("a header line of 1 MiB",
           [](const ServerUnderTest& server, size_t) {
             const HttpReply reply =
                 server.http().talk({head_of(server) + "X-Long: " + std::string(1 << 20, 'x') + "\r\n\r\n"}, 1)[0];
             expect(reply.status == 431 || reply.status == 400, "the status must be 431 or 400", reply.status);
           })
      .add("a chunk size that is none", [](const ServerUnderTest& server, size_t) {
        const HttpReply reply =
            server.http().talk({head_of(server) + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"}, 1)[0];
        expect(reply.status == 400, "the status must be 400", reply.status);
      });
}

struct Coding {
  const char* name;
  int window;
};
constexpr std::array kCodings = {Coding{"gzip", kGzip}, Coding{"deflate", kZlib}};

void packed_request(const ServerUnderTest& server, size_t index) {
  server.need_extensions();
  server.need_model(std::string(kSumModel));
  const std::string body = packed(sum_request(8).dump(), kCodings[index].window);
  const HttpReply reply = server.http().post(infer_path(), body, {{"Content-Encoding", kCodings[index].name}});
  if (reply.status == 415 || reply.status == 501) throw Skipped("the server takes no compressed requests");
  expect_sum(answered(reply), 8);
}

void packed_answer(const ServerUnderTest& server, size_t index) {
  server.need_extensions();
  server.need_model(std::string(kSumModel));
  HttpReply reply = server.http().post(infer_path(), sum_request(8).dump(), {{"Accept-Encoding", kCodings[index].name}});
  if (reply.header("content-encoding") != kCodings[index].name) throw Skipped("the server does not compress its answers");
  reply.body = unpacked(reply.body, kCodings[index].window);
  expect_sum(answered(reply), 8);
}

}  // namespace

void add_transport_cases(WireCases& cases) {
  WireTopic topic(cases, "http", Wire::kHttp), compression(cases, "compression", Wire::kHttp);
  add_connections(topic);
  add_lengths(topic);
  for (size_t i = 0; i < kCodings.size(); ++i) {
    compression.add(std::string("a request in ") + kCodings[i].name, packed_request, i);
    compression.add(std::string("an answer in ") + kCodings[i].name, packed_answer, i);
  }
  compression
      .add("an unknown coding",
           [](const ServerUnderTest& server, size_t) {
             server.need_extensions();
             server.need_model(std::string(kSumModel));
             const HttpReply reply = server.http().post(infer_path(), sum_request().dump(), {{"Content-Encoding", "br2"}});
             expect(reply.status >= 400 && reply.status < 600 && reply.status != 500, "the request must be refused",
                    reply.status);
           })
      .add("gzip that is cut short", [](const ServerUnderTest& server, size_t) {
        server.need_extensions();
        server.need_model(std::string(kSumModel));
        std::string body = packed(sum_request(8).dump(), kGzip);
        body.resize(body.size() / 2);
        const HttpReply reply = server.http().post(infer_path(), body, {{"Content-Encoding", "gzip"}});
        if (reply.status == 415 || reply.status == 501) throw Skipped("the server takes no compressed requests");
        refused(reply);
      });
}

}  // namespace tandem
