#include "server/registry.h"

#include <spdlog/spdlog.h>

#include <system_error>

#include "storage/base/directory_lock.h"
#include "storage/collector.h"
#include "storage/schema.h"

namespace signum {
namespace {

constexpr std::string_view kFirstTokenNote = "first start";

Result<void> MakeDirectory(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::create_directories(path, error); error) {
    return Fail(Errc::kUnavailable, "no_data_directory",
                "cannot make " + path.string() + ": " + error.message());
  }
  std::filesystem::permissions(path, std::filesystem::perms::owner_all, error);
  if (error) return FromErrno(error.value(), path.string());
  return {};
}

Result<bool> Exists(const std::filesystem::path& path) {
  std::error_code error;
  const bool exists = std::filesystem::exists(path, error);
  if (error) return FromErrno(error.value(), path.string());
  return exists;
}

}  // namespace

Result<std::unique_ptr<Registry>> Registry::Open(const std::filesystem::path& data,
                                                 const UploadLimits& limits, const Clock& clock,
                                                 bool auth, const Quota& default_quota) {
  SIGNUM_TRY(MakeDirectory(data));
  SIGNUM_ASSIGN(File lock,
                LockDirectory(data, "data_in_use",
                              "another process serves the data directory " + data.string()));
  std::unique_ptr<Registry> registry(new Registry(data, std::move(lock)));
  SIGNUM_TRY(registry->Build(limits, clock, auth, default_quota));
  return registry;
}

Registry::~Registry() = default;

Result<void> Registry::Build(const UploadLimits& limits, const Clock& clock, bool auth,
                             const Quota& default_quota) {
  SIGNUM_TRY(MakeDirectory(data_ / "store"));
  SIGNUM_TRY(MakeDirectory(data_ / "uploads"));
  SIGNUM_TRY(MakeDirectory(TmpDirectory()));
  SIGNUM_TRY(MakeDirectory(TrainingDirectory()));
  SIGNUM_ASSIGN(engine_, OpenRocksEngine(data_ / "store"));
  SIGNUM_TRY(EnsureSchema(*engine_));
  SIGNUM_ASSIGN(keys_, KeyRing::Open(*engine_, clock, data_ / "signing.key"));
  objects_ = std::make_unique<ObjectStore>(*engine_);
  catalog_ = std::make_unique<Catalog>(*engine_, clock);
  RemoveStrays();
  SIGNUM_ASSIGN(uploads_, Uploads::Open(*engine_, clock, data_ / "uploads", limits));
  accounts_ = std::make_unique<Accounts>(*engine_, clock);
  idempotency_ = std::make_unique<IdempotencyStore>(*engine_, clock);
  SIGNUM_ASSIGN(quotas_, Quotas::Open(*engine_, *catalog_, *uploads_, default_quota));
  app_.reset(new App{clock, *engine_, *objects_, *catalog_, *uploads_, *accounts_, *idempotency_,
                     *keys_, *quotas_, metrics_, auth});
  return {};
}

// Frees what a crash left between two writes. A store that cannot be looked through can still be
// read. Objects that nothing names are for the collector: a job that starts again finds there what
// it had stored.
void Registry::RemoveStrays() {
  const auto strays = RemoveStrayBlobs(*engine_);
  if (strays.has_error()) {
    spdlog::error("looking through the store: {}", strays.error().message);
    return;
  }
  objects_->CountDamaged(strays->damaged);
  if (strays->blobs > 0) spdlog::info("removed {} blobs that nothing names", strays->blobs);
  if (strays->damaged > 0) spdlog::error("{} objects are damaged: scrub tells", strays->damaged);
}

// A token and its file cannot appear at one moment. The mark says that a start is between the two:
// where it is found, the token that nobody got to know is revoked and made again.
Result<std::optional<std::filesystem::path>> Registry::EnsureAdminToken() {
  const std::filesystem::path path = data_ / "admin.token";
  const std::filesystem::path mark = data_ / "admin.token.unfinished";
  SIGNUM_ASSIGN(const bool unfinished, Exists(mark));
  SIGNUM_ASSIGN(const auto tokens, accounts_->ListTokens());
  if (!unfinished && !tokens.empty()) return std::optional<std::filesystem::path>();
  SIGNUM_TRY(WriteFileAtomically(mark, {}));
  for (const TokenRecord& token : tokens) {
    if (token.note == kFirstTokenNote) SIGNUM_TRY(accounts_->RevokeToken(token.id));
  }
  SIGNUM_ASSIGN(const auto token,
                accounts_->CreateToken(Role::kAdmin, {}, std::string(kFirstTokenNote), {}));
  SIGNUM_TRY(WriteFileAtomically(path, AsBytes(token.secret + "\n"), kSecretMode));
  std::error_code error;
  std::filesystem::remove(mark, error);
  if (error) return FromErrno(error.value(), mark.string());
  SIGNUM_TRY(SyncDirectory(data_));
  return std::optional(path);
}

}  // namespace signum
