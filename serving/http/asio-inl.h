// Names of Asio and Beast as the files of this folder use them. Both are heavy, and none of their types leaves the folder.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

// Asio in C++20 mode relies on <optional> and <utility> being there already.
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/http/parser.hpp>

namespace tandem::http_detail {

namespace net = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using net::ip::tcp;
using SteadyTime = std::chrono::steady_clock::time_point;

inline std::string_view view_of(boost::beast::string_view text) { return {text.data(), text.size()}; }

}  // namespace tandem::http_detail
