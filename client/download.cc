#include "client/download.h"

#include <fcntl.h>

#include <charconv>

#include "storage/base/file.h"

namespace signum::client {

namespace {

// The partial file of one download, with the ETag its bytes belong to.
struct Part {
  std::filesystem::path path, etag_path;
  File file;
  uint64_t size = 0;
  uint64_t received = 0;  // in this call
  std::string etag;

  static Result<Part> Open(const std::filesystem::path& target) {
    Part part;
    part.path = target.string() + ".part";
    part.etag_path = target.string() + ".part.etag";
    SIGNUM_ASSIGN(part.file, File::Open(part.path, O_RDWR | O_CREAT));
    SIGNUM_ASSIGN(part.size, part.file.Size());
    if (const Result<std::string> etag = ReadFile(part.etag_path, 1024)) part.etag = *etag;
    if (part.etag.empty()) SIGNUM_TRY(part.StartOver({}));
    return part;
  }

  Result<void> StartOver(const std::string& new_etag) {
    SIGNUM_TRY(file.Truncate(0));
    size = 0;
    etag = new_etag;
    return WriteFileAtomically(etag_path, AsBytes(etag));
  }

  Result<void> Append(ConstBytes bytes) {
    SIGNUM_TRY(file.WriteAt(size, bytes));
    size += bytes.size();
    received += bytes.size();
    return {};
  }

  void Remove() const {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    std::filesystem::remove(etag_path, ignored);
  }
};

// "bytes 100-999/1000": where the answer's bytes begin.
bool ContinuesAt(std::string_view content_range, uint64_t offset) {
  return content_range.starts_with("bytes " + std::to_string(offset) + "-");
}

Result<void> TakeHeaders(const HttpResponse& response, Part& part) {
  const std::string_view etag = response.Header("etag");
  const bool continues = response.status == 206 && etag == part.etag &&
                         ContinuesAt(response.Header("content-range"), part.size);
  if (continues) return {};
  if (response.status == 206) {
    return Fail(Errc::kUnavailable, "range_mismatch",
                "the answer's range or ETag does not continue what is here");
  }
  // Only a strong ETag can prove later that a range continues the same bytes.
  return part.StartOver(std::string(etag.starts_with("W/") ? std::string_view{} : etag));
}

// One try. Errors that IsTransient() are worth another.
Result<void> TryDownload(Registry& registry, const std::string& url, Part& part,
                         const DownloadOptions& options) {
  HttpRequest request;
  request.url = url;
  request.timeout = std::chrono::seconds{0};
  if (part.size > 0) {
    request.headers.emplace_back("Range", "bytes=" + std::to_string(part.size) + "-");
    request.headers.emplace_back("If-Range", part.etag);
  }
  bool started = false;
  request.on_headers = [&](const HttpResponse& response) -> Result<void> {
    started = response.ok();
    return started ? TakeHeaders(response, part) : Result<void>{};
  };
  request.sink = [&](ConstBytes bytes) -> Result<void> {
    if (bytes.size() > options.expected_size - std::min(part.size, options.expected_size)) {
      return Fail(
          Errc::kCorrupt, "size_mismatch",
          url + " has more than the " + std::to_string(options.expected_size) + " bytes expected");
    }
    SIGNUM_TRY(part.Append(bytes));
    if (options.on_progress) options.on_progress(part.size, part.received);
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
  if (part.size < options.expected_size) {
    return Fail(Errc::kUnavailable, "connection_lost", url + " ended early");
  }
  return {};
}

Result<void> Verify(const Part& part, const DownloadOptions& options) {
  if (!options.verify) return {};
  SIGNUM_ASSIGN(const auto bytes, MappedFile::Open(part.path));
  return options.verify(*bytes);
}

Result<void> Fetch(Registry& registry, const std::string& url, Part& part,
                   const DownloadOptions& options) {
  Backoff backoff(registry.options().patience);
  while (part.size != options.expected_size || part.size == 0) {
    const uint64_t before = part.size;
    const Result<void> tried = TryDownload(registry, url, part, options);
    if (tried) break;
    if (!IsTransient(tried.error())) return tried;
    if (part.size > before) backoff.Reset();
    const std::optional<Millis> wait = backoff.Next(registry.retry_after());
    if (!wait || !SleepFor(*wait, registry.options().stop)) return tried;
  }
  return {};
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
  SIGNUM_ASSIGN(Part part, Part::Open(path));
  if (part.size > options.expected_size) SIGNUM_TRY(part.StartOver({}));
  Result<void> done = Fetch(registry, url, part, options);
  if (done) done = Verify(part, options);
  if (!done) {
    if (done.error().code == Errc::kCorrupt) part.Remove();
    return done;
  }
  SIGNUM_TRY(part.file.SyncData());
  std::error_code error;
  std::filesystem::rename(part.path, path, error);
  if (error) return FromErrno(error.value(), "rename to " + path.string());
  part.Remove();
  return SyncDirectory(path.has_parent_path() ? path.parent_path() : ".");
}

}  // namespace signum::client
