#include "storage/scrub.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "storage/format/manifest.h"
#include "storage/references.h"

namespace signum {

namespace {

constexpr uint64_t kMaxManifestBytes = 1ull << 30;

Error Stopped() { return Fail(Errc::kCancelled, "cancelled", "the scrub was stopped"); }

// Holds a reader to so many bytes a second.
class Pace {
 public:
  explicit Pace(uint64_t rate) : rate_(rate), began_(std::chrono::steady_clock::now()) {}

  // Sleeps until `bytes` more may have been read; `go_on` is asked meanwhile.
  bool Spend(uint64_t bytes, const std::function<bool()>& go_on) {
    spent_ += bytes;
    while (go_on()) {
      if (rate_ == 0) return true;
      const auto due = began_ + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                                    std::chrono::duration<double>(static_cast<double>(spent_) /
                                                                  static_cast<double>(rate_)));
      const auto now = std::chrono::steady_clock::now();
      if (due <= now) return true;
      std::this_thread::sleep_for(
          std::min<std::chrono::steady_clock::duration>(due - now, std::chrono::milliseconds(100)));
    }
    return false;
  }

 private:
  const uint64_t rate_;
  const std::chrono::steady_clock::time_point began_;
  uint64_t spent_ = 0;
};

class Scrub {
 public:
  Scrub(const ScrubContext& context, const ScrubOptions& options, const ScrubProgress& progress)
      : context_(context),
        options_(options),
        progress_(progress),
        pace_(options.rate),
        random_(options.seed) {}

  Result<ScrubReport> Run() {
    SIGNUM_TRY(CheckReferences());
    SIGNUM_TRY(CheckObjects());
    SIGNUM_TRY(CheckFiles());
    SIGNUM_TRY(CheckManifests());
    SIGNUM_TRY(CheckLog());
    SIGNUM_TRY(NameTouched());
    return std::move(report_);
  }

 private:
  bool Show(std::string_view phase, double done) { return !progress_ || progress_(phase, done); }
  bool Chosen() {
    return options_.sample >= 1 || std::uniform_real_distribution<>()(random_) < options_.sample;
  }

  // ---- references

  // What cannot be read cannot tell what it names: that one is damaged itself, and found as such.
  Result<std::vector<Digest>> Readable(Result<std::vector<Digest>> named, std::string who) {
    if (named.has_value()) return named;
    const Errc code = named.error().code;
    if (code != Errc::kCorrupt && code != Errc::kNotFound) return named;
    report_.problems.push_back(std::move(who) + ": " + named.error().message);
    return std::vector<Digest>();
  }

  Result<void> CheckReferences() {
    const auto checked = ForEachBase(context_.catalog, [&](const BaseRecord& base) -> Result<void> {
      if (!Show("references", 0)) return Stopped();
      SIGNUM_ASSIGN(const auto named,
                    Readable(ObjectsOfBase(context_.objects, base), "base " + base.name));
      SIGNUM_TRY(CheckThere({base.digest, base.recipe}));
      return CheckThere(named);
    });
    if (checked.has_error()) return checked;
    return ForEachVersion(context_.catalog, [&](const VersionRecord& version) -> Result<void> {
      if (!Show("references", 0.5)) return Stopped();
      SIGNUM_ASSIGN(const auto named, Readable(ObjectsOfVersion(context_.objects, version),
                                               "version " + NameOf(version)));
      std::vector<Digest> own;
      for (const auto& digest : {version.recipe, version.delta, version.manifest}) {
        if (digest) own.push_back(*digest);
      }
      SIGNUM_TRY(CheckThere(own));
      return CheckThere(named);
    });
  }

  Result<void> CheckThere(const std::vector<Digest>& named) {
    for (const Digest& digest : named) {
      if (!seen_.insert(digest).second) continue;
      ++report_.references;
      const auto info = context_.objects.Describe(digest);
      if (info.has_value()) continue;
      if (info.error().code != Errc::kNotFound) return info.error();
      Tell({digest, 0, "missing", false, false, {}, {}});
    }
    return {};
  }

  void Tell(DamagedObject damaged) {
    if (told_.insert(damaged.digest).second) report_.damaged.push_back(std::move(damaged));
  }

  // ---- objects

  Result<void> CheckObjects() {
    return ForEachObject(context_.engine, [&](const ScannedObject& object) -> Result<void> {
      const double done = static_cast<double>(object.digest.bytes[0]) / 256;
      if (!Show("objects", done)) return Stopped();
      if (object.record.in_blob()) objects_of_.emplace(object.record.blob, object.digest);
      // What is known to be damaged is told each time, whatever the sample.
      if (!object.record.damaged() && !Chosen()) return {};
      return CheckObject(object, done);
    });
  }

  Result<void> CheckObject(const ScannedObject& object, double done) {
    uint64_t before = 0;
    const auto verified = context_.objects.Verify(object.digest, [&](uint64_t bytes) {
      const uint64_t more = bytes - std::exchange(before, bytes);
      return pace_.Spend(more, [&] { return Show("objects", done); });
    });
    if (verified.has_value()) {
      ++report_.objects;
      report_.object_bytes += *verified;
      return {};
    }
    const Error& error = verified.error();
    if (error.code == Errc::kNotFound) return {};  // collected meanwhile
    if (error.code == Errc::kCancelled) return error;
    return TellOf(object, error);
  }

  // What an object is a difference from is to blame where it is not damaged itself.
  Result<void> TellOf(const ScannedObject& object, const Error& error) {
    const auto now = context_.objects.Describe(object.digest);
    if (now.has_error()) return now.error().code == Errc::kNotFound ? Result<void>() : now.error();
    if (now->damaged || !now->base || error.reason != "object_damaged") {
      Tell({object.digest, now->size, error.message, now->damaged, false, {}, {}});
      return {};
    }
    const auto base = context_.objects.Describe(*now->base);
    if (base.has_error() && base.error().code != Errc::kNotFound) return base.error();
    const bool there = base.has_value();
    Tell(
        {*now->base, there ? base->size : 0, error.message, there && base->damaged, false, {}, {}});
    return {};
  }

  // ---- files

  Result<void> CheckFiles() {
    SIGNUM_ASSIGN(const auto files, context_.engine.ListFiles());
    for (size_t i = 0; i < files.size(); ++i) {
      if (Chosen()) SIGNUM_TRY(CheckFile(files[i], static_cast<double>(i) / files.size()));
    }
    return {};
  }

  Result<void> CheckFile(const EngineFile& file, double done) {
    uint64_t before = 0;
    const auto verified = context_.engine.VerifyFile(file, [&](uint64_t bytes) {
      const uint64_t more = bytes - std::exchange(before, bytes);
      return pace_.Spend(more, [&] { return Show("files", done); });
    });
    if (verified.has_error() && verified.error().code == Errc::kCancelled) return verified;
    if (verified.has_error() && verified.error().code == Errc::kCorrupt) {
      report_.damaged_files.push_back(verified.error().message);
      SIGNUM_TRY(QuarantineBlob(file, verified.error().message));
    }
    ++report_.files;
    report_.file_bytes += file.size;
    return {};
  }

  // Reading an object may have found its bytes in the block cache: the file tells of the disk.
  Result<void> QuarantineBlob(const EngineFile& file, const std::string& why) {
    const auto object = file.blob ? objects_of_.find(*file.blob) : objects_of_.end();
    if (object == objects_of_.end()) return {};
    const Digest& digest = object->second;
    if (told_.contains(digest)) return {};
    SIGNUM_TRY(context_.objects.MarkDamaged(digest, why));
    const auto info = context_.objects.Describe(digest);
    if (info.has_value()) Tell({digest, info->size, why, true, false, {}, {}});
    return {};
  }

  // ---- manifests and log

  Result<void> CheckManifests() {
    return ForEachVersion(context_.catalog, [&](const VersionRecord& version) -> Result<void> {
      if (!Show("manifests", 0)) return Stopped();
      if (!version.manifest) return {};
      ++report_.manifests;
      const auto fits = CheckManifest(version);
      if (fits.has_value()) return {};
      if (fits.error().code != Errc::kCorrupt && fits.error().code != Errc::kNotFound) return fits;
      report_.problems.push_back("manifest of " + NameOf(version) + ": " + fits.error().message);
      return {};
    });
  }

  Result<void> CheckManifest(const VersionRecord& version) {
    SIGNUM_ASSIGN(const auto bytes, context_.objects.Open(*version.manifest));
    SIGNUM_ASSIGN(const std::string envelope, ReadAll(*bytes, kMaxManifestBytes));
    Result<Manifest> manifest = Fail(Errc::kCorrupt, "unknown_key", "signed by an unknown key");
    for (const PublicKey& key : context_.keys) {
      manifest = Manifest::Verify(envelope, key);
      if (manifest.has_value() || manifest.error().reason != "unknown_key") break;
    }
    if (manifest.has_error()) return manifest.error();
    const bool fits = manifest->tenant == version.tenant && manifest->model == version.model &&
                      manifest->version == version.version &&
                      version.delta == manifest->delta_digest &&
                      manifest->base_digest == version.base_digest;
    if (fits) return {};
    return Fail(Errc::kCorrupt, "manifest_mismatch", "it is another version's");
  }

  Result<void> CheckLog() {
    if (!Show("log", 0)) return Stopped();
    const auto whole = context_.accounts.VerifyLog();
    if (whole.has_error() && whole.error().code != Errc::kCorrupt) return whole;
    if (whole.has_error()) report_.problems.push_back(whole.error().message);
    return {};
  }

  // ---- whom it touches

  // A version needs what its base needs.
  Result<void> NameTouched() {
    if (report_.damaged.empty()) return {};
    std::unordered_map<Digest, DamagedObject*> damaged;
    for (DamagedObject& object : report_.damaged) damaged.emplace(object.digest, &object);
    std::unordered_map<std::string, std::vector<DamagedObject*>> by_base;
    const auto touched = [&](const Result<std::vector<Digest>>& named, std::vector<Digest> own) {
      if (named.has_value()) own.insert(own.end(), named->begin(), named->end());
      std::vector<DamagedObject*> found;
      for (const Digest& digest : own) {
        const auto at = damaged.find(digest);
        if (at != damaged.end()) found.push_back(at->second);
      }
      std::sort(found.begin(), found.end());
      found.erase(std::unique(found.begin(), found.end()), found.end());
      return found;
    };
    SIGNUM_TRY(ForEachBase(context_.catalog, [&](const BaseRecord& base) -> Result<void> {
      auto found = touched(ObjectsOfBase(context_.objects, base), {base.digest, base.recipe});
      for (DamagedObject* object : found) object->bases.push_back(base.name);
      by_base.emplace(base.name, std::move(found));
      return {};
    }));
    return ForEachVersion(context_.catalog, [&](const VersionRecord& version) -> Result<void> {
      std::vector<Digest> own;
      for (const auto& digest : {version.recipe, version.delta, version.manifest}) {
        if (digest) own.push_back(*digest);
      }
      auto found = touched(ObjectsOfVersion(context_.objects, version), std::move(own));
      const auto of_base = by_base.find(version.base);
      if (of_base != by_base.end()) {
        found.insert(found.end(), of_base->second.begin(), of_base->second.end());
      }
      const std::string name = NameOf(version);
      for (DamagedObject* object : found) {
        if (object->versions.empty() || object->versions.back() != name) {
          object->versions.push_back(name);
        }
      }
      return {};
    });
  }

  const ScrubContext& context_;
  const ScrubOptions& options_;
  const ScrubProgress& progress_;
  Pace pace_;
  std::mt19937_64 random_;
  std::unordered_set<Digest> seen_;                  // references that were checked
  std::unordered_set<Digest> told_;                  // of report_.damaged
  std::unordered_map<uint64_t, Digest> objects_of_;  // by blob
  ScrubReport report_;
};

}  // namespace

Result<ScrubReport> ScrubStore(const ScrubContext& context, const ScrubOptions& options,
                               const ScrubProgress& progress) {
  return Scrub(context, options, progress).Run();
}

Result<void> RepairObjects(ObjectStore& objects, const ObjectStore& other, ScrubReport& report) {
  for (DamagedObject& object : report.damaged) {
    const auto copy = other.Open(object.digest);
    if (copy.has_error() && copy.error().code != Errc::kNotFound &&
        copy.error().code != Errc::kCorrupt) {
      return copy.error();
    }
    if (copy.has_error()) continue;  // the other has no sound one either
    const auto put = objects.Put(**copy, object.digest);
    if (put.has_error() && put.error().code != Errc::kCorrupt) return put.error();
    object.repaired = put.has_value();
  }
  return {};
}

}  // namespace signum
