#include "client/parallel_download.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "storage/format/delta_file.h"

namespace signum::client {
namespace {

constexpr int kTriesOfWrongBytes = 3;

Error NoRanges(const std::string& url, const std::string& why) {
  return Fail(Errc::kUnavailable, kNoRanges, url + ": " + why);
}

class ParallelDownload {
 public:
  ParallelDownload(Registry& registry, const std::string& url, PartialFile& part,
                   RangeJournal journal, const DownloadOptions& options)
      : registry_(registry),
        url_(url),
        part_(part),
        options_(options),
        journal_(std::move(journal)),
        present_(journal_.present()) {}

  Result<void> Run();

 private:
  void Work();
  std::optional<size_t> NextRange();
  void Stop(const Error& error);
  Result<void> FetchRange(Registry& registry, size_t range);
  Result<void> TryRange(Registry& registry, size_t range);
  Result<void> TakeHeaders(const HttpResponse& response, uint64_t at);
  Result<void> TakeBytes(size_t range, ConstBytes bytes);
  Result<void> CheckRange(size_t range);
  Result<void> Forget(size_t range);

  Registry& registry_;
  const std::string& url_;
  PartialFile& part_;
  const DownloadOptions& options_;
  std::stop_source stop_;

  std::mutex mutex_;
  RangeJournal journal_;
  size_t next_ = 0;  // range to be begun
  uint64_t present_;
  std::optional<Error> error_;  // the first
};

Result<void> ParallelDownload::Run() {
  const std::stop_callback stop(registry_.options().stop, [this] { stop_.request_stop(); });
  {
    std::vector<std::jthread> workers;
    const auto most = static_cast<size_t>(options_.connections);
    for (size_t i = 0; i < std::min(most, journal_.count()); ++i) {
      workers.emplace_back([this] { Work(); });
    }
  }
  if (error_) return *error_;
  part_.Complete(options_.expected_size);
  return {};
}

void ParallelDownload::Work() {
  RegistryOptions options = registry_.options();
  options.stop = stop_.get_token();
  Registry registry(std::move(options));
  while (const auto range = NextRange()) {
    const Result<void> done = FetchRange(registry, *range);
    if (!done) return Stop(done.error());
  }
}

// What an earlier run made whole is not looked at again before all is here.
std::optional<size_t> ParallelDownload::NextRange() {
  const std::lock_guard lock(mutex_);
  while (next_ < journal_.count() && journal_.complete(next_)) ++next_;
  if (stop_.stop_requested() || next_ == journal_.count()) return std::nullopt;
  return next_++;
}

void ParallelDownload::Stop(const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = error;
  }
  stop_.request_stop();
}

Result<void> ParallelDownload::FetchRange(Registry& registry, size_t range) {
  Backoff backoff(registry.options().patience);
  int wrong = 0;
  while (true) {
    const uint64_t before = journal_.done(range);
    Result<void> tried = TryRange(registry, range);
    if (tried) tried = CheckRange(range);
    if (tried) return {};
    if (tried.error().code == Errc::kCorrupt && ++wrong < kTriesOfWrongBytes) {
      SIGNUM_TRY(Forget(range));
      continue;
    }
    if (!IsTransient(tried.error()) || tried.error().reason == kNoRanges) return tried;
    if (journal_.done(range) > before) backoff.Reset();
    const std::optional<Millis> wait = backoff.Next(registry.retry_after());
    if (!wait || !SleepFor(*wait, registry.options().stop)) return tried;
  }
}

Result<void> ParallelDownload::TryRange(Registry& registry, size_t range) {
  const uint64_t at = journal_.begin(range) + journal_.done(range);
  const uint64_t end = journal_.begin(range) + journal_.length(range);
  HttpRequest request;
  request.url = url_;
  request.timeout = std::chrono::seconds{0};
  request.min_speed = kMinSpeed;
  request.headers.emplace_back("Range",
                               "bytes=" + std::to_string(at) + "-" + std::to_string(end - 1));
  {
    const std::lock_guard lock(mutex_);
    if (!part_.etag().empty()) request.headers.emplace_back("If-Range", part_.etag());
  }
  request.on_headers = [&](const HttpResponse& response) -> Result<void> {
    return response.ok() ? TakeHeaders(response, at) : Result<void>{};
  };
  request.sink = [&](ConstBytes bytes) { return TakeBytes(range, bytes); };
  SIGNUM_ASSIGN(const HttpResponse answer, registry.Send(request));
  if (answer.status == 416) return NoRanges(url_, "range not satisfiable");
  if (!answer.ok()) return ErrorFromResponse(answer, "GET " + url_);
  if (journal_.complete(range)) return {};
  return Fail(Errc::kUnavailable, "connection_lost", url_ + " ended early");
}

// The first answer says which ETag all must have.
Result<void> ParallelDownload::TakeHeaders(const HttpResponse& response, uint64_t at) {
  const std::string etag(response.Header("etag"));
  if (response.status != 206) return NoRanges(url_, "the server answered without a range");
  if (etag.empty() || etag.starts_with("W/")) return NoRanges(url_, "there is no strong ETag");
  const std::string_view range = response.Header("content-range");
  if (!range.starts_with("bytes " + std::to_string(at) + "-")) {
    return NoRanges(url_, "another range was answered than was asked for");
  }
  const std::lock_guard lock(mutex_);
  if (part_.etag().empty()) return part_.SetEtag(etag);
  if (part_.etag() == etag) return {};
  return NoRanges(url_, "the resource has changed");
}

Result<void> ParallelDownload::TakeBytes(size_t range, ConstBytes bytes) {
  const uint64_t done = journal_.done(range);
  if (bytes.size() > journal_.length(range) - done) {
    return Fail(Errc::kCorrupt, "size_mismatch", url_ + " has more bytes than the range asked for");
  }
  SIGNUM_TRY(part_.file().WriteAt(journal_.begin(range) + done, bytes));
  const std::lock_guard lock(mutex_);
  SIGNUM_TRY(journal_.Note(range, done + bytes.size()));
  present_ += bytes.size();
  part_.received += bytes.size();
  if (options_.on_progress) options_.on_progress(present_, part_.received);
  return {};
}

Result<void> ParallelDownload::CheckRange(size_t range) {
  if (!options_.verify_piece) return {};
  const uint64_t end = journal_.begin(range) + journal_.length(range);
  std::vector<std::byte> piece(4 * kChunkBytes);
  for (uint64_t at = journal_.begin(range); at < end;) {
    const MutableBytes bytes =
        MutableBytes(piece).first(std::min<uint64_t>(piece.size(), end - at));
    SIGNUM_TRY(part_.file().ReadAt(at, bytes));
    SIGNUM_TRY(options_.verify_piece(at, bytes));
    at += bytes.size();
  }
  return {};
}

Result<void> ParallelDownload::Forget(size_t range) {
  const std::lock_guard lock(mutex_);
  present_ -= journal_.done(range);
  return journal_.Note(range, 0);
}

}  // namespace

Result<void> DownloadRanges(Registry& registry, const std::string& url, PartialFile& part,
                            const DownloadOptions& options) {
  SIGNUM_ASSIGN(RangeJournal journal,
                RangeJournal::Open(part.ranges_path(), options.expected_size, options.range_bytes,
                                   std::min(part.size(), options.expected_size)));
  return ParallelDownload(registry, url, part, std::move(journal), options).Run();
}

}  // namespace signum::client
