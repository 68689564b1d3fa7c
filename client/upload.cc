#include "client/upload.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"

namespace signum::client {

using nlohmann::json;

namespace {

// One PATCH carries at most this much: what a lost connection may have to send again.
constexpr uint64_t kPieceBytes = 64u << 20;

Result<Digest> HashSource(const CheckpointFile& file, const UploadCallback& callback,
                          UploadProgress& progress) {
  Sha256 hash;
  const uint64_t before = progress.done;
  const ConstBytes view = file.bytes->View();
  for (uint64_t offset = 0; offset < view.size();) {
    const uint64_t length = std::min<uint64_t>(8u << 20, view.size() - offset);
    hash.Update(view.subspan(offset, length));
    offset += length;
    progress.done = before + offset;
    callback(progress);
  }
  return hash.Finish();
}

// Sends one file from `offset` on.
Result<void> SendFile(Registry& registry, const CheckpointFile& file, const std::string& url,
                      uint64_t offset, const UploadCallback& callback, UploadProgress& progress) {
  Backoff backoff(registry.options().patience);
  const ConstBytes all = file.bytes->View();
  const uint64_t before = progress.done;
  while (offset < all.size()) {
    const ConstBytes piece =
        all.subspan(offset, std::min<uint64_t>(kPieceBytes, all.size() - offset));
    const Result<uint64_t> sent = registry.PatchUpload(url, offset, piece, [&](uint64_t bytes) {
      progress.done = before + offset + bytes;
      callback(progress);
    });
    if (sent) {
      offset = *sent;
      backoff.Reset();
      continue;
    }
    // wrong_offset: an earlier try got further than its answer; upload_busy: the registry has not
    // yet noticed that an earlier connection is gone.
    const std::string& reason = sent.error().reason;
    if (!IsTransient(sent.error()) && reason != "wrong_offset" && reason != "upload_busy") {
      return sent.error();
    }
    const std::optional<Millis> wait = backoff.Next();
    if (!wait || !SleepFor(*wait, registry.options().stop)) return sent.error();
    SIGNUM_ASSIGN(const uint64_t durable, registry.UploadOffset(url));
    if (durable > offset) backoff.Reset();
    offset = durable;
  }
  progress.done = before + all.size();
  return {};
}

}  // namespace

Result<std::string> UploadCheckpoint(Registry& registry, const Checkpoint& checkpoint,
                                     const UploadCallback& callback) {
  std::vector<CheckpointFile> files = checkpoint.files();
  std::stable_sort(files.begin(), files.end(),
                   [](const auto& a, const auto& b) { return a.bytes->size() < b.bytes->size(); });
  UploadProgress progress{"hash", {}, 0, 0};
  for (const CheckpointFile& file : files) progress.total += file.bytes->size();
  json declared = json::array();
  for (const CheckpointFile& file : files) {
    progress.path = file.path;
    SIGNUM_ASSIGN(const Digest digest, HashSource(file, callback, progress));
    declared.push_back(
        {{"path", file.path}, {"size", file.bytes->size()}, {"sha256", digest.Text()}});
  }
  SIGNUM_ASSIGN(const json upload, registry.CreateUpload(declared));
  SIGNUM_ASSIGN(const std::string id, JsonString(upload, "id"));
  SIGNUM_ASSIGN(const json* places, JsonArray(upload, "files"));
  std::map<std::string, const json*> by_path;
  for (const json& place : *places) by_path[JsonStringOr(place, "path", "")] = &place;
  progress = {"upload", {}, 0, progress.total};
  for (const CheckpointFile& file : files) {
    const json* place = by_path[file.path];
    if (place == nullptr) {
      return Fail(Errc::kInternal, "bad_answer", "the upload has no URL for " + file.path);
    }
    SIGNUM_ASSIGN(const std::string url, JsonString(*place, "url"));
    progress.path = file.path;
    SIGNUM_TRY(
        SendFile(registry, file, url, JsonNumberOr(*place, "offset", 0), callback, progress));
  }
  return id;
}

}  // namespace signum::client
