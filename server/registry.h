#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "server/app.h"
#include "server/metrics.h"
#include "storage/base/file.h"
#include "storage/idempotency.h"

namespace signum {

// The registry behind the HTTP server: the store in a data directory and everything over it, in
// order of construction. One process at a time has a directory.
//
//   DIR/lock         held while the process lives
//   DIR/store/       the engine
//   DIR/uploads/     staged uploads
//   DIR/tmp/         what jobs write before it is stored
//   DIR/signing.key  signs manifests (mode 0600)
//   DIR/admin.token  the first admin's token (mode 0600)
class Registry {
 public:
  // Makes the directory where it is missing. Errc::kUnavailable "data_in_use" while another process
  // has it; every message names the path at fault.
  static Result<std::unique_ptr<Registry>> Open(const std::filesystem::path& data,
                                                const UploadLimits& limits, const Clock& clock,
                                                bool auth, const Quota& default_quota = {});
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  App& app() { return *app_; }
  std::filesystem::path TmpDirectory() const { return data_ / "tmp"; }
  std::filesystem::path TrainingDirectory() const { return data_ / "training"; }

  // On the first start of a directory makes an admin token and gives the path of the file that
  // holds it; later nullopt.
  Result<std::optional<std::filesystem::path>> EnsureAdminToken();

 private:
  Registry(std::filesystem::path data, File lock)
      : data_(std::move(data)), lock_(std::move(lock)) {}
  Result<void> Build(const UploadLimits& limits, const Clock& clock, bool auth,
                     const Quota& default_quota);
  void RemoveStrays();

  std::filesystem::path data_;
  File lock_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<KeyRing> keys_;
  std::unique_ptr<ObjectStore> objects_;
  std::unique_ptr<Catalog> catalog_;
  std::unique_ptr<Uploads> uploads_;
  std::unique_ptr<Accounts> accounts_;
  std::unique_ptr<IdempotencyStore> idempotency_;
  std::unique_ptr<Quotas> quotas_;
  Metrics metrics_;
  std::unique_ptr<App> app_;
};

}  // namespace signum
