#include "client/download.h"

#include <algorithm>

#include "client/parallel_download.h"
#include "client/partial_file.h"
#include "storage/base/file.h"

namespace signum::client {

namespace {

// "bytes 100-999/1000": where the answer's bytes begin.
bool ContinuesAt(std::string_view content_range, uint64_t offset) {
  return content_range.starts_with("bytes " + std::to_string(offset) + "-");
}

Result<void> TakeHeaders(const HttpResponse& response, PartialFile& part) {
  const std::string_view etag = response.Header("etag");
  const bool continues = response.status == 206 && etag == part.etag() &&
                         ContinuesAt(response.Header("content-range"), part.size());
  if (continues) return {};
  if (response.status == 206) {
    return Fail(Errc::kUnavailable, "range_mismatch",
                "the answer's range or ETag does not continue what is here");
  }
  // Only a strong ETag can prove later that a range continues the same bytes.
  return part.StartOver(std::string(etag.starts_with("W/") ? std::string_view{} : etag));
}

// One try. Errors that IsTransient() are worth another.
Result<void> TryDownload(Registry& registry, const std::string& url, PartialFile& part,
                         const DownloadOptions& options) {
  HttpRequest request;
  request.url = url;
  request.timeout = std::chrono::seconds{0};
  request.min_speed = kMinSpeed;
  if (part.size() > 0) {
    request.headers.emplace_back("Range", "bytes=" + std::to_string(part.size()) + "-");
    request.headers.emplace_back("If-Range", part.etag());
  }
  bool started = false;
  request.on_headers = [&](const HttpResponse& response) -> Result<void> {
    started = response.ok();
    return started ? TakeHeaders(response, part) : Result<void>{};
  };
  request.sink = [&](ConstBytes bytes) -> Result<void> {
    if (bytes.size() > options.expected_size - std::min(part.size(), options.expected_size)) {
      return Fail(
          Errc::kCorrupt, "size_mismatch",
          url + " has more than the " + std::to_string(options.expected_size) + " bytes expected");
    }
    SIGNUM_TRY(part.Append(bytes));
    if (options.on_progress) options.on_progress(part.size(), part.received);
    return {};
  };
  Result<HttpResponse> answer = registry.Send(request);
  if (!answer) {
    if (answer.error().reason == "range_mismatch") SIGNUM_TRY(part.StartOver({}));
    return answer.error();
  }
  if (answer->status == 416) {  // what is here does not fit the resource: take it from the start
    SIGNUM_TRY(part.StartOver({}));
    return Fail(Errc::kUnavailable, "range_mismatch", url + ": range not satisfiable");
  }
  if (!answer->ok()) return ErrorFromResponse(*answer, "GET " + url);
  if (part.size() < options.expected_size) {
    return Fail(Errc::kUnavailable, "connection_lost", url + " ended early");
  }
  return {};
}

Result<void> Verify(const PartialFile& part, const DownloadOptions& options) {
  if (!options.verify) return {};
  SIGNUM_ASSIGN(const auto bytes, MappedFile::Open(part.path()));
  return options.verify(*bytes);
}

Result<void> Fetch(Registry& registry, const std::string& url, PartialFile& part,
                   const DownloadOptions& options) {
  Backoff backoff(registry.options().patience);
  uint64_t furthest = part.size();  // bytes that come again are no progress
  while (part.size() != options.expected_size || part.size() == 0) {
    const Result<void> tried = TryDownload(registry, url, part, options);
    if (tried) break;
    if (!IsTransient(tried.error())) return tried;
    if (part.size() > furthest) backoff.Reset();
    furthest = std::max(furthest, part.size());
    const std::optional<Millis> wait = backoff.Next(registry.retry_after());
    if (!wait || !SleepFor(*wait, registry.options().stop)) return tried;
  }
  return {};
}

// In ranges where that is worth it and the server has them; else as one.
Result<void> FetchAll(Registry& registry, const std::string& url, PartialFile& part,
                      const DownloadOptions& options) {
  const bool ranges = options.connections > 1 && options.expected_size >= options.parallel_from;
  if (ranges) {
    const Result<void> done = DownloadRanges(registry, url, part, options);
    if (done || done.error().reason != kNoRanges) return done;
  }
  std::error_code ignored;
  if (std::filesystem::exists(part.ranges_path(), ignored)) SIGNUM_TRY(part.StartOver({}));
  return Fetch(registry, url, part, options);
}

}  // namespace

std::function<Result<void>(const ByteSource&)> ExpectDigest(const Digest& expected,
                                                            std::string what) {
  return [expected, what = std::move(what)](const ByteSource& bytes) -> Result<void> {
    const Digest actual = Sha256::Of(bytes.View());
    if (actual == expected) return {};
    return Fail(Errc::kCorrupt, "digest_mismatch",
                what + " is " + actual.Text() + ", expected " + expected.Text());
  };
}

Result<void> DownloadFile(Registry& registry, const std::string& url,
                          const std::filesystem::path& path, const DownloadOptions& options) {
  SIGNUM_ASSIGN(PartialFile part, PartialFile::Open(path));
  if (part.size() > options.expected_size) SIGNUM_TRY(part.StartOver({}));
  Result<void> done = FetchAll(registry, url, part, options);
  if (done) done = Verify(part, options);
  if (!done) {
    if (done.error().code == Errc::kCorrupt) part.Remove();
    return done;
  }
  if (options.durable) SIGNUM_TRY(part.file().SyncData());
  std::error_code error;
  std::filesystem::rename(part.path(), path, error);
  if (error) return FromErrno(error.value(), "rename to " + path.string());
  part.Remove();
  if (!options.durable) return {};
  return SyncDirectory(path.has_parent_path() ? path.parent_path() : ".");
}

}  // namespace signum::client
