#include "storage/savings.h"

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>
#include <unordered_set>

#include "storage/references.h"

namespace signum {

namespace {

// Splits `total` in proportion to `weights` (evenly where all are 0) into parts that sum up to it.
std::vector<uint64_t> Split(uint64_t total, const std::vector<uint64_t>& weights) {
  double sum = 0;
  for (const uint64_t weight : weights) sum += static_cast<double>(weight);
  std::vector<uint64_t> parts;
  double before = 0;
  uint64_t given = 0;
  for (const uint64_t weight : weights) {
    before +=
        sum > 0 ? static_cast<double>(weight) / sum : 1.0 / static_cast<double>(weights.size());
    const bool last = parts.size() + 1 == weights.size();
    const auto until = last ? total : static_cast<uint64_t>(static_cast<double>(total) * before);
    parts.push_back(until - given);
    given = until;
  }
  return parts;
}

void Add(SavingsRow& sum, const SavingsRow& row) {
  sum.versions += row.versions;
  sum.upload_bytes += row.upload_bytes;
  sum.version_upload_bytes += row.version_upload_bytes;
  sum.delta_bytes += row.delta_bytes;
  sum.exact_bytes += row.exact_bytes;
  sum.base_share += row.base_share;
  sum.metadata_bytes += row.metadata_bytes;
  sum.measured += row.measured;
  sum.top1_sum += row.top1_sum;
}

// What a version's fidelity says, where it was measured.
void Measure(const VersionRecord& version, SavingsRow& row) {
  const auto fidelity = nlohmann::json::parse(version.fidelity_json, nullptr, false);
  if (!fidelity.is_object()) return;
  const auto top1 = fidelity.find("top1");
  if (top1 == fidelity.end() || !top1->is_number()) return;
  row.measured = 1;
  row.top1_sum = top1->get<double>();
}

// Finds out whose every stored object is, one row for each version and each unused base.
class Audit {
 public:
  Audit(const Engine& engine, const ObjectStore& objects, const Catalog& catalog)
      : engine_(engine), objects_(objects), catalog_(catalog) {}

  Result<std::vector<SavingsRow>> Rows() {
    SIGNUM_TRY(ForEachBase(catalog_, [this](const BaseRecord& base) { return AddBase(base); }));
    SIGNUM_TRY(ForEachVersion(catalog_, [this](const VersionRecord& v) { return AddVersion(v); }));
    ShareBases();
    SIGNUM_TRY(ShareRest());
    return std::move(rows_);
  }

  // What is stored beyond the rows, where there are none to share it.
  uint64_t rest() const { return rest_; }

 private:
  struct Base {
    uint64_t stored = 0;
    uint64_t uploaded = 0;
    std::vector<size_t> rows;  // of its versions
  };

  // The bytes of an object that nobody has counted yet; 0 for one that is not stored.
  Result<uint64_t> Take(const Digest& digest) {
    if (!taken_.insert(digest).second) return 0;
    const auto info = objects_.Describe(digest);
    if (info.has_value()) return info->stored_bytes;
    if (info.error().code == Errc::kNotFound) return 0;
    return info.error();
  }

  Result<uint64_t> TakeRecipe(const Digest& recipe) {
    SIGNUM_ASSIGN(const auto named, ObjectsOfRecipe(objects_, recipe));
    uint64_t bytes = 0;
    for (const Digest& digest : named) {
      SIGNUM_ASSIGN(const uint64_t size, Take(digest));
      bytes += size;
    }
    return bytes;
  }

  Result<void> AddBase(const BaseRecord& record) {
    Base& base = bases_[record.name];
    base.uploaded = record.upload_bytes;
    SIGNUM_ASSIGN(const uint64_t manifest, Take(record.digest));
    SIGNUM_ASSIGN(const uint64_t rest, TakeRecipe(record.recipe));
    base.stored = manifest + rest;
    return {};
  }

  Result<void> AddVersion(const VersionRecord& version) {
    SavingsRow row;
    row.base = version.base;
    row.tenant = version.tenant;
    row.model = version.model;
    if (version.state == VersionState::kReady) {
      row.versions = 1;
      row.upload_bytes = row.version_upload_bytes = version.upload_bytes;
      Measure(version, row);
    }
    if (version.delta) {
      SIGNUM_ASSIGN(row.delta_bytes, Take(*version.delta));
    }
    if (version.manifest) {
      SIGNUM_ASSIGN(row.metadata_bytes, Take(*version.manifest));
    }
    if (version.recipe && version.exact_kept) {
      SIGNUM_ASSIGN(row.exact_bytes, TakeRecipe(*version.recipe));
    } else if (version.recipe) {
      SIGNUM_ASSIGN(const uint64_t recipe, Take(*version.recipe));
      row.metadata_bytes += recipe;
    }
    bases_[version.base].rows.push_back(rows_.size());
    rows_.push_back(std::move(row));
    return {};
  }

  void ShareBases() {
    for (const auto& [name, base] : bases_) {
      if (base.rows.empty()) {
        SavingsRow& row = rows_.emplace_back();
        row.base = name;
        row.base_share = base.stored;
        row.upload_bytes = base.uploaded;
        continue;
      }
      const std::vector<uint64_t> equal(base.rows.size(), 1);
      const auto stored = Split(base.stored, equal);
      const auto uploaded = Split(base.uploaded, equal);
      for (size_t i = 0; i < base.rows.size(); ++i) {
        rows_[base.rows[i]].base_share = stored[i];
        rows_[base.rows[i]].upload_bytes += uploaded[i];
      }
    }
  }

  Result<void> ShareRest() {
    SIGNUM_ASSIGN(const EngineUsage usage, engine_.Usage());
    uint64_t counted = 0;
    std::vector<uint64_t> weights;
    for (const SavingsRow& row : rows_) counted += weights.emplace_back(row.stored_bytes());
    const uint64_t total = usage.blob_bytes + usage.metadata_bytes;
    rest_ = total > counted ? total - counted : 0;
    const auto parts = Split(rest_, weights);
    for (size_t i = 0; i < rows_.size(); ++i) rows_[i].metadata_bytes += parts[i];
    return {};
  }

  const Engine& engine_;
  const ObjectStore& objects_;
  const Catalog& catalog_;
  std::unordered_set<Digest> taken_;
  std::map<std::string, Base> bases_;
  std::vector<SavingsRow> rows_;
  uint64_t rest_ = 0;
};

double Ratio(uint64_t uploaded, uint64_t stored) {
  return stored == 0 ? 0 : static_cast<double>(uploaded) / static_cast<double>(stored);
}

}  // namespace

double SavingsRow::ratio() const { return Ratio(upload_bytes, stored_bytes()); }
double SavingsRow::delta_ratio() const { return Ratio(version_upload_bytes, delta_bytes); }

Result<SavingsReport> AuditSavings(const Engine& engine, const ObjectStore& objects,
                                   const Catalog& catalog, const SavingsBy& by) {
  Audit audit(engine, objects, catalog);
  SIGNUM_ASSIGN(auto rows, audit.Rows());
  std::map<std::tuple<std::string, std::string, std::string>, SavingsRow> groups;
  SavingsReport report;
  for (SavingsRow& row : rows) {
    const bool unused_base = row.tenant.empty();
    if (!by.base && !unused_base) row.base.clear();
    if (!by.tenant) row.tenant.clear();
    if (!by.model) row.model.clear();
    SavingsRow& group = groups[{row.base, row.tenant, row.model}];
    std::tie(group.base, group.tenant, group.model) = std::tie(row.base, row.tenant, row.model);
    Add(group, row);
    Add(report.totals, row);
  }
  if (rows.empty()) report.totals.metadata_bytes = audit.rest();
  for (auto& [key, group] : groups) report.groups.push_back(std::move(group));
  return report;
}

}  // namespace signum
