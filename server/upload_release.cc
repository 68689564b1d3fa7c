#include "server/upload_release.h"

#include <spdlog/spdlog.h>

#include <set>
#include <vector>

namespace signum {
namespace {

constexpr size_t kPage = 256;

// Which uploads versions are being made from.
class UploadUses {
 public:
  explicit UploadUses(const Catalog& catalog) : catalog_(catalog) {}

  Result<void> ReadAll() {
    std::string after;
    for (;;) {
      SIGNUM_ASSIGN(const auto tenants, catalog_.ListTenants(after, kPage));
      for (const std::string& tenant : tenants) SIGNUM_TRY(ReadTenant(tenant));
      if (tenants.size() < kPage) return {};
      after = tenants.back();
    }
  }

  bool Need(const std::string& upload) const { return needed_.contains(upload); }

 private:
  Result<void> ReadTenant(const std::string& tenant) {
    std::string after;
    for (;;) {
      SIGNUM_ASSIGN(const auto models, catalog_.ListModels(tenant, after, kPage));
      for (const std::string& model : models) SIGNUM_TRY(ReadModel(tenant, model));
      if (models.size() < kPage) return {};
      after = models.back();
    }
  }

  Result<void> ReadModel(const std::string& tenant, const std::string& model) {
    uint64_t after = 0;
    for (;;) {
      SIGNUM_ASSIGN(const auto versions, catalog_.ListVersions(tenant, model, after, kPage));
      for (const VersionRecord& version : versions) Note(version);
      if (versions.size() < kPage) return {};
      after = versions.back().version;
    }
  }

  void Note(const VersionRecord& version) {
    const bool unfinished =
        version.state == VersionState::kQueued || version.state == VersionState::kRunning;
    if (unfinished) needed_.insert(version.upload);
  }

  const Catalog& catalog_;
  std::set<std::string> needed_;
};

}  // namespace

void ReleaseUpload(Uploads& uploads, const std::string& upload, JobState ended) {
  const auto released =
      ended == JobState::kCancelled ? uploads.Remove(upload) : uploads.Unpin(upload);
  if (released.has_error() && released.error().code != Errc::kNotFound) {
    spdlog::warn("upload {}: {}", upload, released.error().message);
  }
}

Result<void> ReleaseDeadUploads(const Catalog& catalog, Uploads& uploads) {
  SIGNUM_ASSIGN(const auto pinned, uploads.ListPinned());
  if (pinned.empty()) return {};
  UploadUses uses(catalog);
  SIGNUM_TRY(uses.ReadAll());
  for (const std::string& upload : pinned) {
    if (!uses.Need(upload)) ReleaseUpload(uploads, upload, JobState::kFailed);
  }
  return {};
}

}  // namespace signum
