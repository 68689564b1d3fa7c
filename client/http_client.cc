#include "client/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace signum::client {

namespace {

// Of an answer and what came before it. Ours take a hundredth of it.
constexpr size_t kMaxHeaderBytes = 256 * 1024;
// Of an answer that is no success: what matters is its status.
constexpr size_t kMaxErrorBody = 64 * 1024;

void InitCurlOnce() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

std::string LowerCase(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// A call in progress: what curl's callbacks work on.
struct Transfer {
  const HttpRequest& request;
  ConstBytes upload;
  size_t sent = 0;
  HttpResponse response;
  bool headers_seen = false;
  size_t header_bytes = 0;
  std::optional<Error> error{};  // from the sink or a limit; ends the call
  bool enough = false;           // the rest of the answer does not matter

  Result<void> TakeHeader(std::string_view line) {
    header_bytes += line.size();
    if (header_bytes > kMaxHeaderBytes) {
      return Fail(Errc::kTooLarge, "headers_too_large",
                  request.url + " answers with more than " + std::to_string(kMaxHeaderBytes) +
                      " bytes of headers");
    }
    if (line.starts_with("HTTP/")) {  // a new answer: forget an interim one's headers
      response.headers.clear();
      const size_t space = line.find(' ');
      response.status = space == line.npos ? 0 : std::atoi(std::string(line.substr(space)).c_str());
      return {};
    }
    const size_t colon = line.find(':');
    if (colon != line.npos) {
      response.headers.emplace_back(LowerCase(line.substr(0, colon)),
                                    std::string(Trim(line.substr(colon + 1))));
    }
    return {};
  }

  Result<void> TakeBody(ConstBytes bytes) {
    if (!headers_seen) {
      headers_seen = true;
      if (request.on_headers) SIGNUM_TRY(request.on_headers(response));
    }
    if (request.sink && response.ok()) return request.sink(bytes);
    if (!response.ok()) return TakeErrorBody(bytes);
    if (bytes.size() > request.max_body - response.body.size()) {
      return Fail(
          Errc::kTooLarge, "body_too_large",
          request.url + " answers more than " + std::to_string(request.max_body) + " bytes");
    }
    response.body.append(AsText(bytes));
    return {};
  }

  Result<void> TakeErrorBody(ConstBytes bytes) {
    const size_t left = kMaxErrorBody - response.body.size();
    enough = bytes.size() > left;
    response.body.append(AsText(bytes.first(std::min(bytes.size(), left))));
    if (!enough) return {};
    return Fail(Errc::kTooLarge, "body_too_large", request.url + ": a long error");
  }
};

// What curl is told: anything but `size` ends the transfer.
size_t Told(Transfer& transfer, const Result<void>& taken, size_t size) {
  if (taken) return size;
  transfer.error = taken.error();
  return size == 0 ? 1 : 0;
}

size_t OnBody(char* data, size_t, size_t size, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  return Told(transfer, transfer.TakeBody(AsBytes({data, size})), size);
}

size_t OnHeader(char* data, size_t, size_t size, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  return Told(transfer, transfer.TakeHeader({data, size}), size);
}

size_t OnRead(char* out, size_t, size_t capacity, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  const size_t take = std::min(capacity, transfer.upload.size() - transfer.sent);
  if (take > 0) std::memcpy(out, transfer.upload.data() + transfer.sent, take);
  transfer.sent += take;
  if (transfer.request.on_sent) transfer.request.on_sent(transfer.sent);
  return take;
}

int OnSeek(void* context, curl_off_t offset, int origin) {
  auto& transfer = *static_cast<Transfer*>(context);
  if (origin != SEEK_SET || offset < 0 || static_cast<size_t>(offset) > transfer.upload.size()) {
    return CURL_SEEKFUNC_FAIL;
  }
  transfer.sent = static_cast<size_t>(offset);
  return CURL_SEEKFUNC_OK;
}

Error FromCurl(CURLcode code, const char* detail, const std::string& url) {
  const std::string message = url + ": " + (detail[0] != '\0' ? detail : curl_easy_strerror(code));
  switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return Fail(Errc::kInvalid, "bad_url", message);
    case CURLE_OPERATION_TIMEDOUT:
      return Fail(Errc::kUnavailable, "timed_out", message);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
      return Fail(Errc::kDenied, "tls_failed", message);
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_SSL_CONNECT_ERROR:
      return Fail(Errc::kUnavailable, "unreachable", message);
    default:
      return Fail(Errc::kUnavailable, "connection_lost", message);
  }
}

// Loopback never goes through a proxy; what the environment exempts stays exempt.
std::string NoProxy() {
  std::string out = "localhost,127.0.0.1,::1";
  for (const char* name : {"no_proxy", "NO_PROXY"}) {
    if (const char* value = std::getenv(name)) return out + "," + value;
  }
  return out;
}

struct HeaderList {
  curl_slist* list = nullptr;
  ~HeaderList() { curl_slist_free_all(list); }
  void Add(const std::string& line) { list = curl_slist_append(list, line.c_str()); }
};

}  // namespace

std::string_view HttpResponse::Header(std::string_view lower_case_name) const {
  for (const auto& [name, value] : headers) {
    if (name == lower_case_name) return value;
  }
  return {};
}

struct HttpClient::State {
  CURL* easy = nullptr;
  CURLM* multi = nullptr;
  ClientTls tls;
  char error[CURL_ERROR_SIZE] = {};

  ~State() {
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
  }

  void SetFile(CURLoption option, const std::string& path) {
    if (!path.empty()) curl_easy_setopt(easy, option, path.c_str());
  }
  void Prepare(Transfer& transfer, HeaderList& headers);
  CURLcode Perform(const std::stop_token& stop);
};

void HttpClient::State::Prepare(Transfer& transfer, HeaderList& headers) {
  const HttpRequest& request = transfer.request;
  curl_easy_reset(easy);
  error[0] = '\0';
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_NOPROXY, NoProxy().c_str());
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 512L * 1024);
  curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 1024L * 1024);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, 10L);
  SetFile(CURLOPT_CAINFO, tls.ca_file);
  SetFile(CURLOPT_SSLCERT, tls.cert_file);
  SetFile(CURLOPT_SSLKEY, tls.key_file);
  if (request.timeout.count() > 0) {
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, static_cast<long>(request.timeout.count()));
  } else {
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, static_cast<long>(request.min_speed));
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME,
                     static_cast<long>(request.stall_timeout.count()));
  }
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
  if (request.method == "HEAD") curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  const bool has_body = !transfer.upload.empty() || request.method == "POST" ||
                        request.method == "PUT" || request.method == "PATCH";
  if (has_body) {
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE,
                     static_cast<curl_off_t>(transfer.upload.size()));
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, OnRead);
    curl_easy_setopt(easy, CURLOPT_READDATA, &transfer);
    curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, OnSeek);
    curl_easy_setopt(easy, CURLOPT_SEEKDATA, &transfer);
  }
  if (request.method != "HEAD") {
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  headers.Add("Expect:");  // no 100-continue round trip
  for (const auto& [name, value] : request.headers) headers.Add(name + ": " + value);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.list);
}

// Runs the prepared transfer to its end, or until `stop`. A multi handle rather than
// curl_easy_perform, because only that can be woken from another thread.
CURLcode HttpClient::State::Perform(const std::stop_token& stop) {
  curl_multi_add_handle(multi, easy);
  CURLcode result = CURLE_OK;
  {
    std::stop_callback wake(stop, [this] { curl_multi_wakeup(multi); });
    int running = 1;
    while (running > 0) {
      if (stop.stop_requested()) {
        result = CURLE_ABORTED_BY_CALLBACK;
        break;
      }
      if (curl_multi_perform(multi, &running) != CURLM_OK) result = CURLE_FAILED_INIT;
      if (result != CURLE_OK) break;
      if (running > 0) curl_multi_poll(multi, nullptr, 0, 1000, nullptr);
    }
  }
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
    if (message->msg == CURLMSG_DONE) result = message->data.result;
  }
  curl_multi_remove_handle(multi, easy);
  return result;
}

HttpClient::HttpClient(ClientTls tls) : state_(std::make_unique<State>()) {
  InitCurlOnce();
  state_->easy = curl_easy_init();
  state_->multi = curl_multi_init();
  state_->tls = std::move(tls);
}

HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;

Result<HttpResponse> HttpClient::Send(const HttpRequest& request) {
  Transfer transfer{request, request.upload.value_or(AsBytes(request.body)), 0, {}, false, {}};
  HeaderList headers;
  state_->Prepare(transfer, headers);
  const CURLcode code = state_->Perform(request.stop);
  if (request.stop.stop_requested() && code != CURLE_OK) {
    return Fail(Errc::kCancelled, "cancelled", request.url + ": stopped");
  }
  if (transfer.enough) return std::move(transfer.response);
  if (transfer.error) return *std::move(transfer.error);
  // A server that refuses a body half-way answers and closes; the answer says more than the
  // closing.
  const bool refused = code == CURLE_SEND_ERROR && transfer.response.status >= 400;
  if (code != CURLE_OK && !refused) return FromCurl(code, state_->error, request.url);
  if (!transfer.headers_seen) SIGNUM_TRY(transfer.TakeBody({}));
  return std::move(transfer.response);
}

Result<std::string> ResolveUrl(const std::string& base, const std::string& reference) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url(curl_url(), curl_url_cleanup);
  char* text = nullptr;
  if (curl_url_set(url.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK ||
      curl_url_set(url.get(), CURLUPART_URL, reference.c_str(), 0) != CURLUE_OK ||
      curl_url_get(url.get(), CURLUPART_URL, &text, 0) != CURLUE_OK) {
    return Fail(Errc::kInvalid, "bad_url", "not a URL: '" + reference + "' at '" + base + "'");
  }
  const std::unique_ptr<char, decltype(&curl_free)> owned(text, curl_free);
  return std::string(text);
}

Result<std::string> UrlOrigin(const std::string& url) {
  SIGNUM_ASSIGN(std::string root, ResolveUrl(url, "/"));
  root.pop_back();
  return root;
}

std::string EscapeSegment(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const unsigned char c : text) {
    if (std::isalnum(c) != 0 ||
        std::string_view("-._~").find(static_cast<char>(c)) != std::string_view::npos) {
      out += static_cast<char>(c);
    } else {
      out += {'%', kHex[c >> 4], kHex[c & 15]};
    }
  }
  return out;
}

std::string EscapePath(std::string_view path) {
  std::string out;
  for (size_t start = 0; start <= path.size();) {
    const size_t end = std::min(path.find('/', start), path.size());
    out += (start > 0 ? "/" : "") + EscapeSegment(path.substr(start, end - start));
    start = end + 1;
  }
  return out;
}

}  // namespace signum::client
