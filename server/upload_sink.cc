#include "server/upload_sink.h"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace signum {
namespace {

constexpr uint64_t kCommitBytes = 64 << 20;
constexpr std::chrono::seconds kCommitEvery{2};

}  // namespace

http::Response AsTus(http::Response response) {
  const auto& headers = response.headers;
  const bool said = std::any_of(headers.begin(), headers.end(),
                                [](const auto& header) { return header.first == "Tus-Resumable"; });
  if (!said) response.Set("Tus-Resumable", std::string(kTusVersion));
  return response;
}

UploadSink::~UploadSink() {
  if (!writer_ || pending_ == 0) return;
  const auto committed = Commit();  // nobody is left to answer; a retry finds out by HEAD
  if (committed.has_error()) {
    spdlog::warn("upload cut off, its last bytes are lost: {}", committed.error().message);
  }
}

Result<UploadFile> UploadSink::Commit() {
  pending_ = 0;
  auto file = writer_->Commit();
  committed_at_ = std::chrono::steady_clock::now();
  return file;
}

Result<void> UploadSink::Write(ConstBytes bytes) {
  SIGNUM_TRY(writer_->Append(bytes));
  pending_ += bytes.size();
  const bool due = std::chrono::steady_clock::now() - committed_at_ >= kCommitEvery;
  if (pending_ >= kCommitBytes || due) SIGNUM_TRY(Commit());
  return {};
}

http::Response UploadSink::Refuse(const Error& error) {
  return AsTus(http::Problem(error, request_id_));
}

http::Response UploadSink::Finish() {
  const auto file = Commit();
  writer_.reset();  // before the answer leaves: the client's next request may come at once
  return file.has_error() ? Refuse(file.error()) : AsTus(answer_(*file));
}

}  // namespace signum
