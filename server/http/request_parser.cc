#include "server/http/request_parser.h"

#include <algorithm>
#include <array>
#include <boost/beast/http/basic_parser.hpp>
#include <charconv>

#include "server/http/url.h"

namespace signum::http {
namespace {

namespace beast = boost::beast;

constexpr size_t kMaxHeaders = 100;

// What is left of a chunked body is never shorter than its end, "0 CRLF CRLF". Beast 1.81 asserts
// as much when it looks again at a last chunk that it has seen a part of.
constexpr size_t kShortestRest = 5;

std::string Lower(beast::string_view text) {
  std::string lower(text.data(), text.size());
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return lower;
}

bool MayRepeat(std::string_view name) {
  static constexpr std::array<std::string_view, 12> kSingletons = {
      "host",          "content-length", "content-type",    "authorization",
      "range",         "if-range",       "upload-offset",   "upload-length",
      "tus-resumable", "x-request-id",   "idempotency-key", "transfer-encoding"};
  return std::find(kSingletons.begin(), kSingletons.end(), name) == kSingletons.end();
}

// TRACE and QUERY too, which no resource has: 405 for these, 501 for what is no method at all.
bool KnownMethod(std::string_view method) {
  static constexpr std::array<std::string_view, 9> kMethods = {
      "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"};
  return std::find(kMethods.begin(), kMethods.end(), method) != kMethods.end();
}

// A header that goes on in a second line (RFC 9112 §5.2), which some take for a header of its own.
bool HasFold(std::string_view head) {
  return head.find("\r\n ") != head.npos || head.find("\r\n\t") != head.npos;
}

// Whether the request line ends in a version, be it one that nobody speaks here.
bool NamesVersion(std::string_view bytes) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const std::string_view line = bytes.substr(0, bytes.find("\r\n"));
  constexpr std::string_view kShape = " HTTP/d.d";
  if (line.size() < kShape.size()) return false;
  const std::string_view version = line.substr(line.size() - kShape.size());
  return version.starts_with(" HTTP/") && digit(version[6]) && version[7] == '.' &&
         digit(version[8]) && std::count(line.begin(), line.end(), ' ') == 2;
}

Refusal RefusalOf(const beast::error_code& code, std::string_view bytes) {
  using beast::http::error;
  if (code == error::header_limit) {
    return {431, "headers_too_large", "the request line and headers exceed the limit"};
  }
  if (code == error::bad_version && NamesVersion(bytes)) {
    return {505, "bad_http_version", "only HTTP/1.0 and HTTP/1.1 are spoken here"};
  }
  return {400, "malformed_request", "malformed HTTP request: " + code.message()};
}

}  // namespace

const std::string* RequestHead::Find(std::string_view lower_case_name) const {
  for (const auto& [name, value] : headers) {
    if (name == lower_case_name) return &value;
  }
  return nullptr;
}

class RequestParser::Impl : public beast::http::basic_parser<true> {
 public:
  explicit Impl(uint64_t max_header_bytes) : max_header_bytes_(max_header_bytes) {
    header_limit(static_cast<uint32_t>(max_header_bytes));
    body_limit(boost::none);
  }

  std::variant<size_t, Refusal> Head(std::string_view bytes) {
    beast::error_code code;
    const size_t consumed = put({bytes.data(), bytes.size()}, code);
    head_bytes_ += consumed;
    if (refusal_) return *refusal_;
    const bool more = code == beast::http::error::need_more;
    if (head_bytes_ + (more ? bytes.size() - consumed : 0) > max_header_bytes_) {
      return RefusalOf(beast::http::error::header_limit, bytes);
    }
    if (code && !more) return RefusalOf(code, bytes);
    if (HasFold(bytes.substr(0, consumed))) {
      return Refusal{400, "folded_header", "a header goes on in a second line"};
    }
    if (is_header_done()) {
      if (auto refusal = Judge()) return *std::move(refusal);
    }
    return consumed;
  }

  std::variant<size_t, Refusal> Chunks(std::string_view bytes, std::string* body) {
    body_ = body;
    size_t consumed = 0;
    beast::error_code code;
    while (bytes.size() - consumed >= kShortestRest && !is_done() && !code) {
      consumed += put({bytes.data() + consumed, bytes.size() - consumed}, code);
    }
    if (code && code != beast::http::error::need_more) return RefusalOf(code, bytes);
    return consumed;
  }

  RequestHead head;

 private:
  using string_view = beast::string_view;
  using error_code = beast::error_code;

  void Refuse(int status, std::string reason, std::string detail, error_code& code) {
    refusal_ = Refusal{status, std::move(reason), std::move(detail)};
    code = beast::http::error::bad_value;
  }

  // What only the whole head shows.
  std::optional<Refusal> Judge() {
    const bool has_length = head.Find("content-length") != nullptr;
    const std::string* coding = head.Find("transfer-encoding");
    if (has_length && coding != nullptr) {
      return Refusal{400, "ambiguous_length",
                     "both Content-Length and Transfer-Encoding are given"};
    }
    if (coding != nullptr) {
      if (!head.http11) {
        return Refusal{400, "ambiguous_length", "Transfer-Encoding does not exist in HTTP/1.0"};
      }
      if (Lower(*coding) != "chunked") {
        return Refusal{501, "unknown_transfer_encoding",
                       "header Transfer-Encoding: only chunked is understood"};
      }
      head.chunked = true;
    }
    const std::string* host = head.Find("host");
    if (host == nullptr && head.http11) {
      return Refusal{400, "missing_host", "header Host is missing"};
    }
    if (host != nullptr && !host->empty() && !ValidHost(*host)) {
      return Refusal{400, "bad_host", "header Host is not a host with a port"};
    }
    // What was compressed on its way must not be kept as if it were the file (RFC 9110 §8.4).
    const std::string* coded = head.Find("content-encoding");
    if (coded != nullptr && Lower(*coded) != "identity") {
      return Refusal{415, "unsupported_content_encoding",
                     "header Content-Encoding: bodies are taken as they are, not encoded"};
    }
    return JudgeExpectation();
  }

  std::optional<Refusal> JudgeExpectation() {
    head.keep_alive = keep_alive();
    const std::string* expect = head.Find("expect");
    if (expect == nullptr) return std::nullopt;
    if (Lower(*expect) != "100-continue") {
      return Refusal{417, "unknown_expectation", "header Expect: only 100-continue is understood"};
    }
    head.expects_continue = head.http11 && (head.chunked || head.content_length > 0);
    return std::nullopt;
  }

  void on_request_impl(beast::http::verb, string_view method, string_view target, int version,
                       error_code& code) override {
    head.method.assign(method.data(), method.size());
    head.target.assign(target.data(), target.size());
    head.http11 = version == 11;
    if (!KnownMethod(head.method)) {
      Refuse(501, "unknown_method", "method " + head.method.substr(0, 32) + " is not implemented",
             code);
    }
  }

  void on_field_impl(beast::http::field, string_view name, string_view value,
                     error_code& code) override {
    if (is_header_done()) return;  // a trailer
    std::string lower = Lower(name);
    if (lower == "content-length" && !TakeLength(value)) {
      return Refuse(400, "bad_content_length", "header Content-Length is not one number", code);
    }
    for (auto& [known, joined] : head.headers) {
      if (known != lower) continue;
      if (!MayRepeat(lower)) {
        return Refuse(400, "repeated_header", "header " + lower + " is given twice", code);
      }
      joined.append(lower == "cookie" ? "; " : ", ").append(value.data(), value.size());
      return;
    }
    if (head.headers.size() == kMaxHeaders) {
      return Refuse(431, "too_many_headers", "more than 100 headers", code);
    }
    head.headers.emplace_back(std::move(lower), std::string(value.data(), value.size()));
  }

  bool TakeLength(string_view value) {
    const char* end = value.data() + value.size();
    const auto [stop, failure] = std::from_chars(value.data(), end, head.content_length);
    return failure == std::errc() && stop == end;
  }

  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(string_view bytes, error_code&) override { return bytes.size(); }
  void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, string_view bytes, error_code&) override {
    body_->append(bytes.data(), bytes.size());
    return bytes.size();
  }
  void on_response_impl(int, string_view, int, error_code&) override {}
  void on_finish_impl(error_code&) override {}

  uint64_t max_header_bytes_;
  uint64_t head_bytes_ = 0;
  std::optional<Refusal> refusal_;
  std::string* body_ = nullptr;
};

RequestParser::RequestParser(uint64_t max_header_bytes)
    : impl_(std::make_unique<Impl>(max_header_bytes)) {}
RequestParser::~RequestParser() = default;

std::variant<size_t, Refusal> RequestParser::ParseHead(std::string_view bytes) {
  return impl_->Head(bytes);
}
bool RequestParser::head_done() const { return impl_->is_header_done(); }
RequestHead& RequestParser::head() { return impl_->head; }
std::variant<size_t, Refusal> RequestParser::ParseChunks(std::string_view bytes,
                                                         std::string* body) {
  return impl_->Chunks(bytes, body);
}
bool RequestParser::body_done() const { return impl_->is_done(); }

}  // namespace signum::http
