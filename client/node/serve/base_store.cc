#include "client/node/serve/base_store.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "client/answer_fields.h"
#include "client/download.h"
#include "storage/base/file.h"
#include "storage/base/name.h"

namespace signum::client {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr uint64_t kMaxListBytes = 64u << 20;
constexpr size_t kMaxFiles = 10'000;

struct ListedFile {
  std::string path;
  uint64_t size = 0;
  Digest digest;
};

Result<std::vector<ListedFile>> FilesOf(const json& base) {
  std::vector<ListedFile> out;
  std::set<std::string> paths;
  const auto files = base.find("files");
  if (files == base.end() || !files->is_array() || files->size() > kMaxFiles) {
    return Fail(Errc::kInternal, "bad_answer",
                "the base's resource lists no files, or more than " + std::to_string(kMaxFiles));
  }
  for (const json& file : *files) {
    ListedFile entry;
    SIGNUM_ASSIGN(entry.path, JsonString(file, "path"));
    SIGNUM_TRY(CheckFilePath(entry.path));
    SIGNUM_ASSIGN(entry.size, JsonNumber(file, "size"));
    SIGNUM_ASSIGN(entry.digest, JsonDigest(file, "sha256"));
    if (!paths.insert(entry.path).second) {
      return Fail(Errc::kInternal, "bad_answer",
                  "the base's resource lists '" + Printable(entry.path) + "' twice");
    }
    out.push_back(std::move(entry));
  }
  return out;
}

// Of a file that is there, or on its way.
uint64_t BytesHere(const fs::path& path) {
  for (const fs::path& candidate : {path, fs::path(path.string() + ".part")}) {
    std::error_code missing;
    const uint64_t size = fs::file_size(candidate, missing);
    if (!missing) return size;
  }
  return 0;
}

// Nobody has signed these sizes: a base that would fill the disk is not begun. A twentieth of it is
// left to others.
Result<void> CheckRoom(const fs::path& folder, const std::vector<ListedFile>& files) {
  std::error_code error;
  const fs::space_info disk = fs::space(folder, error);
  if (error) return FromErrno(error.value(), folder.string());
  uint64_t left = disk.available - std::min(disk.available, disk.capacity / 20);
  for (const ListedFile& file : files) {
    const uint64_t here = BytesHere(folder / file.path);
    const uint64_t missing = file.size - std::min(file.size, here);
    if (missing > left) {
      return Fail(Errc::kExhausted, "disk_full",
                  "the base's file '" + Printable(file.path) + "' of " + std::to_string(file.size) +
                      " bytes has no room in " + folder.string());
    }
    left -= missing;
  }
  return {};
}

// A base keeps its digest when it is sharded anew; the other files are not in it.
Result<void> CheckSmallFiles(const LocalCheckpoint& base, const std::vector<ListedFile>& listed) {
  for (const ListedFile& file : listed) {
    const RecipeFile* here = base.recipe().Find(file.path);
    if (here != nullptr && here->digest == file.digest) continue;
    return Fail(Errc::kCorrupt, "digest_mismatch",
                "the base's file '" + Printable(file.path) + "' is not what the registry listed");
  }
  return {};
}

}  // namespace

std::shared_ptr<const LocalCheckpoint> BaseStore::FindLocal(const Digest& digest) {
  for (size_t i = opened_.size(); i < local_.size(); ++i) {
    auto opened = LocalCheckpoint::Open(local_[i], {});
    if (!opened) spdlog::warn("--base {}: {}", local_[i].string(), opened.error().message);
    opened_.push_back(opened ? *std::move(opened) : nullptr);
  }
  for (const auto& base : opened_) {
    if (base != nullptr && base->base_digest() == digest) return base;
  }
  return nullptr;
}

Result<std::shared_ptr<const LocalCheckpoint>> BaseStore::OpenCached(const Digest& digest) const {
  SIGNUM_ASSIGN(const std::string text, ReadFile(ListOf(digest), kMaxListBytes));
  SIGNUM_ASSIGN(const auto listed, FilesOf(json::parse(text, nullptr, false)));
  SIGNUM_ASSIGN(auto base, LocalCheckpoint::Open(FolderOf(digest), {}));
  SIGNUM_TRY(CheckSmallFiles(*base, listed));
  if (base->base_digest() == digest) return base;
  return Fail(Errc::kCorrupt, "base_mismatch",
              "the base in " + FolderOf(digest).string() + " is " + base->base_digest().Text() +
                  ", not " + digest.Text());
}

Result<void> BaseStore::Fetch(Registry& registry, const std::string& name,
                              const Digest& digest) const {
  SIGNUM_ASSIGN(const json resource, registry.GetBase(name));
  SIGNUM_ASSIGN(const Digest named, JsonDigest(resource, "digest"));
  if (named != digest) {
    return Fail(Errc::kCorrupt, "base_mismatch",
                "the registry's base '" + Printable(name) + "' is " + named.Text() +
                    ", the delta needs " + digest.Text());
  }
  SIGNUM_ASSIGN(const auto files, FilesOf(resource));
  std::error_code error;
  fs::create_directories(FolderOf(digest), error);
  if (error) return FromErrno(error.value(), FolderOf(digest).string());
  SIGNUM_TRY(CheckRoom(FolderOf(digest), files));
  for (const ListedFile& file : files) {
    const fs::path path = FolderOf(digest) / file.path;
    fs::create_directories(path.parent_path(), error);
    if (error) return FromErrno(error.value(), path.parent_path().string());
    DownloadOptions options;
    options.expected_size = file.size;
    options.verify = ExpectDigest(file.digest, "base file " + Printable(file.path));
    SIGNUM_TRY(DownloadFile(registry,
                            "/v1/bases/" + EscapeSegment(name) + "/files/" + EscapePath(file.path),
                            path, options));
  }
  return WriteFileAtomically(ListOf(digest), AsBytes(resource.dump()));
}

Result<std::shared_ptr<const LocalCheckpoint>> BaseStore::Obtain(Registry& registry,
                                                                 const std::string& name,
                                                                 const Digest& digest) {
  if (auto local = FindLocal(digest)) return local;
  if (!local_.empty()) {
    spdlog::warn("base {}: {} is in no --base; the registry's is taken", name, digest.Text());
  }
  auto cached = OpenCached(digest);
  if (cached) return cached;
  std::error_code ignored;
  if (cached.error().code != Errc::kNotFound) {
    spdlog::warn("base {}: {}; fetching it anew", name, cached.error().message);
    fs::remove_all(FolderOf(digest), ignored);
  }
  fs::remove(ListOf(digest), ignored);
  SIGNUM_TRY(Fetch(registry, name, digest));
  return OpenCached(digest);
}

}  // namespace signum::client
