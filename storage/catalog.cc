#include "storage/catalog.h"

#include <algorithm>
#include <charconv>

#include "storage/base/name.h"
#include "storage/catalog_impl.h"

namespace signum {

namespace {

// A decimal number as versions are written: digits alone.
std::optional<uint64_t> ParseVersion(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return {};
  return number;
}

// Makes the tenant known to ListTenants and to the feed, before its first record.
Result<void> EnsureTenant(Engine& engine, std::string_view tenant) {
  const std::string key = TenantKey(tenant);
  SIGNUM_ASSIGN(const auto present, engine.Get(key));
  if (present) return {};
  Batch batch;
  batch.Put(key, "{}");
  return engine.Commit(batch);
}

JobRecord NewJob(const VersionRecord& version, UnixMicros now) {
  JobRecord job;
  job.id = version.job;
  job.kind = "compress";
  job.tenant = version.tenant;
  job.model = version.model;
  job.version = version.version;
  job.phase = "queued";
  job.created = job.updated = now;
  return job;
}

}  // namespace

std::string_view VersionStateName(VersionState state) {
  static constexpr std::string_view kNames[] = {"queued", "running", "ready", "rejected", "failed"};
  return kNames[static_cast<size_t>(state)];
}

std::string_view JobStateName(JobState state) {
  static constexpr std::string_view kNames[] = {"queued", "running", "done", "failed", "cancelled"};
  return kNames[static_cast<size_t>(state)];
}

Catalog::Catalog(Engine& engine, const Clock& clock, const CatalogOptions& options)
    : impl_(std::make_unique<Impl>(engine, clock, options)) {}
Catalog::~Catalog() = default;

Result<void> Catalog::CreateBase(const BaseRecord& base) {
  SIGNUM_TRY(CheckName("base", base.name));
  const std::string key = BaseKey(base.name);
  Batch batch;
  batch.Require(key, std::nullopt);
  batch.Put(key, Encode(base));
  const Result<void> committed = impl_->engine.Commit(batch);
  if (committed.has_error() && committed.error().code == Errc::kPrecondition) {
    return Fail(Errc::kConflict, "base_exists", "a base named '" + base.name + "' exists");
  }
  return committed;
}

Result<BaseRecord> Catalog::GetBase(std::string_view name) const {
  SIGNUM_ASSIGN(auto base, ReadRecord<BaseRecord>(impl_->engine, BaseKey(name)));
  if (!base) {
    return Fail(Errc::kNotFound, "unknown_base",
                "no base named '" + std::string(name.substr(0, 63)) + "'");
  }
  return *std::move(base);
}

Result<std::vector<BaseRecord>> Catalog::ListBases(std::string_view after, size_t limit) const {
  return ListRecords<BaseRecord>(impl_->engine, BaseKey(""), after, limit);
}

Result<VersionRecord> Catalog::CreateVersion(VersionRecord version) {
  SIGNUM_TRY(CheckName("tenant", version.tenant));
  SIGNUM_TRY(CheckName("model", version.model));
  SIGNUM_TRY(EnsureTenant(impl_->engine, version.tenant));
  version.job = impl_->NewJobId(version.tenant);
  version.state = VersionState::kQueued;
  // The index lies in another partition. It is written first, and who finds a job there that does
  // not exist leaves it out.
  SIGNUM_TRY(SetJobIndex(impl_->engine, version.job, true));
  auto created = Transact<VersionRecord>(
      impl_->engine, [&](Transaction& transaction) -> Result<VersionRecord> {
        const std::string key = ModelKey(version.tenant, version.model);
        SIGNUM_ASSIGN(const auto stored, ReadRecord<ModelRecord>(transaction, key));
        ModelRecord model = stored.value_or(ModelRecord());
        SIGNUM_ASSIGN(const AliasRecord live,
                      ReadAlias(transaction, version.tenant, version.model, kLive));
        VersionRecord next = version;
        next.version = model.next_version++;
        next.created = impl_->clock.Now();
        if (next.parent == 0) next.parent = live.version;
        PutChanged(transaction, next.tenant, next.model, model);
        SIGNUM_TRY(ChangeVersion(transaction, std::nullopt, next));
        transaction.Put(JobKey(next.tenant, next.job), Encode(NewJob(next, next.created)));
        return next;
      });
  if (created.has_error()) {
    static_cast<void>(SetJobIndex(impl_->engine, version.job, false));
    return created;
  }
  impl_->job_watches.Notify(created->job);
  return created;
}

Result<VersionRecord> Catalog::GetVersion(std::string_view tenant, std::string_view model,
                                          uint64_t version) const {
  SIGNUM_ASSIGN(auto record,
                ReadRecord<VersionRecord>(impl_->engine, VersionKey(tenant, model, version)));
  if (!record) return UnknownVersion(tenant, model, version);
  return *std::move(record);
}

Result<VersionRecord> Catalog::ResolveVersion(std::string_view tenant, std::string_view model,
                                              std::string_view selector) const {
  SIGNUM_ASSIGN(const auto known, impl_->engine.Get(ModelKey(tenant, model)));
  if (!known) return UnknownModel(tenant, model);
  if (const auto number = ParseVersion(selector)) return GetVersion(tenant, model, *number);
  SIGNUM_ASSIGN(AliasRecord alias, GetAlias(tenant, model, selector));
  for (;;) {
    auto found = GetVersion(tenant, model, alias.version);
    if (found.has_value()) return found;
    // The alias may have moved away and its old version been deleted in between.
    SIGNUM_ASSIGN(const AliasRecord again, GetAlias(tenant, model, selector));
    if (again.revision == alias.revision) return found;
    alias = again;
  }
}

Result<std::vector<VersionRecord>> Catalog::ListVersions(std::string_view tenant,
                                                         std::string_view model, uint64_t after,
                                                         size_t limit) const {
  SIGNUM_ASSIGN(const auto known, impl_->engine.Get(ModelKey(tenant, model)));
  if (!known) return UnknownModel(tenant, model);
  const std::string first = VersionKey(tenant, model, after);
  const std::string number(LastPart(first));
  const std::string prefix = first.substr(0, first.size() - number.size());
  return ListRecords<VersionRecord>(impl_->engine, prefix, number, limit);
}

Result<std::vector<std::string>> Catalog::ListTenants(std::string_view after, size_t limit) const {
  return ListNames(impl_->engine, TenantKey(""), after, limit);
}

Result<std::vector<std::string>> Catalog::ListModels(std::string_view tenant,
                                                     std::string_view after, size_t limit) const {
  return ListNames(impl_->engine, ModelKey(tenant, ""), after, limit);
}

Result<uint64_t> Catalog::FeedSeq() const { return impl_->feed.Seq(); }

Result<std::vector<FeedEntry>> Catalog::ReadFeed(const std::vector<std::string>& tenants,
                                                 uint64_t since, size_t limit) const {
  return impl_->feed.Read(tenants, since, limit);
}

Result<std::vector<LiveModel>> Catalog::Live(std::string_view tenant) const {
  std::vector<LiveModel> live;
  SIGNUM_ASSIGN(const auto models, ListModels(tenant, {}, SIZE_MAX));
  for (const std::string& model : models) {
    auto version = ResolveVersion(tenant, model, kLive);
    if (version.has_value()) {
      live.push_back({model, *std::move(version)});
    } else if (version.error().code != Errc::kNotFound) {
      return std::move(version).error();
    }
  }
  return live;
}

std::shared_ptr<void> Catalog::WatchFeed(std::function<void(std::string_view)> callback) {
  return impl_->feed_watches.Add("", std::move(callback));
}

std::shared_ptr<void> Catalog::WatchJobs(std::function<void(std::string_view)> callback) {
  return impl_->job_watches.Add("", std::move(callback));
}

}  // namespace signum
