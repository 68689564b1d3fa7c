#include "storage/retention.h"

#include <algorithm>
#include <set>

#include "storage/base/name.h"
#include "storage/record.h"
#include "storage/references.h"

namespace signum {

template <class F, class R>
requires RecordOf<R, RetentionPolicy>
void Fields(F& f, R& r) {
  f("keep_last", r.keep_last);
  f("max_age_seconds", r.max_age_seconds);
  f("keep_aliases", r.keep_aliases);
  f("keep_exact", r.keep_exact);
}

namespace {

constexpr std::string_view kPolicyPrefix = "g/policy/";

std::string PolicyKey(std::string_view tenant) {
  return std::string(kPolicyPrefix) + std::string(tenant);
}

bool IsFinished(const VersionRecord& version) {
  return version.state != VersionState::kQueued && version.state != VersionState::kRunning;
}

// The versions of one model, and what of them goes.
class ModelPlan {
 public:
  ModelPlan(const RetentionPolicy& policy, UnixMicros now, std::vector<VersionRecord> versions,
            const std::vector<AliasRecord>& aliases)
      : policy_(policy), now_(now), versions_(std::move(versions)) {
    for (const AliasRecord& alias : aliases) {
      pointed_at_.insert(alias.version);
      if (policy.keep_aliases && alias.previous != 0) pointed_at_.insert(alias.previous);
    }
    std::vector<uint64_t> ready;
    for (const VersionRecord& version : versions_) {
      if (version.state == VersionState::kReady) ready.push_back(version.version);
    }
    const size_t last = policy.keep_last;
    if (last > 0 && ready.size() > last) oldest_kept_ = ready[ready.size() - last];
  }

  void AddTo(RetentionPlan& plan) const {
    for (const VersionRecord& version : versions_) {
      if (!IsFinished(version)) continue;
      if (const auto why = Goes(version)) {
        plan.versions.push_back({version, *why});
      } else if (!policy_.keep_exact && version.exact_kept) {
        plan.exact.push_back(version);
      }
    }
  }

 private:
  // Why no rule keeps it; nullopt where one does.
  std::optional<std::string> Goes(const VersionRecord& version) const {
    if (pointed_at_.contains(version.version)) return {};
    std::string why;
    if (policy_.keep_last > 0) {
      if (version.version >= oldest_kept_) return {};
      why += " keep_last " + std::to_string(policy_.keep_last);
    }
    if (policy_.max_age_seconds > 0) {
      if (version.finished + policy_.max_age_seconds * 1'000'000 > now_) return {};
      why += " max_age " + std::to_string(policy_.max_age_seconds);
    }
    return why.empty() ? std::nullopt : std::optional("policy" + why);
  }

  const RetentionPolicy& policy_;
  const UnixMicros now_;
  const std::vector<VersionRecord> versions_;  // by number
  std::set<uint64_t> pointed_at_;
  uint64_t oldest_kept_ = 0;  // by keep_last
};

Result<void> PlanModel(const Catalog& catalog, const RetentionPolicy& policy, UnixMicros now,
                       const std::string& tenant, const std::string& model, RetentionPlan& plan) {
  std::vector<VersionRecord> versions;
  SIGNUM_TRY(ForEachVersionOf(catalog, tenant, model, [&](const VersionRecord& version) {
    versions.push_back(version);
    return Result<void>();
  }));
  SIGNUM_ASSIGN(const auto aliases, catalog.ListAliases(tenant, model));
  ModelPlan(policy, now, std::move(versions), aliases).AddTo(plan);
  return {};
}

}  // namespace

Result<std::optional<RetentionPolicy>> GetPolicy(const Engine& engine, std::string_view tenant) {
  const std::string key = PolicyKey(tenant);
  SIGNUM_ASSIGN(const auto stored, engine.Get(key));
  if (!stored) return std::optional<RetentionPolicy>();
  SIGNUM_ASSIGN(const auto policy, DecodeRecord<RetentionPolicy>(*stored, key));
  return std::optional(policy);
}

Result<void> PutPolicy(Engine& engine, std::string_view tenant, const RetentionPolicy& policy) {
  SIGNUM_TRY(CheckName("tenant", tenant));
  Batch batch;
  batch.Put(PolicyKey(tenant), EncodeRecord(policy));
  return engine.Commit(batch);
}

Result<RetentionPlan> PlanRetention(const Engine& engine, const Catalog& catalog, UnixMicros now) {
  RetentionPlan plan;
  SIGNUM_ASSIGN(const auto policies, engine.Scan(kPolicyPrefix, "g/policy0", SIZE_MAX));
  for (const KeyValue& item : policies) {
    SIGNUM_ASSIGN(const auto policy, DecodeRecord<RetentionPolicy>(item.value, item.key));
    if (policy == RetentionPolicy()) continue;
    const std::string tenant = item.key.substr(kPolicyPrefix.size());
    SIGNUM_ASSIGN(const auto models, catalog.ListModels(tenant, {}, SIZE_MAX));
    for (const std::string& model : models) {
      SIGNUM_TRY(PlanModel(catalog, policy, now, tenant, model, plan));
    }
  }
  return plan;
}

}  // namespace signum
