#include "server/remake_delta.h"

#include <system_error>
#include <unordered_map>

#include "server/compress_input.h"
#include "storage/base/file.h"
#include "storage/references.h"

namespace signum {
namespace {

namespace fs = std::filesystem;

// A version of each damaged delta.
Result<std::unordered_map<Digest, VersionRecord>> VersionsOf(const Catalog& catalog,
                                                             const ScrubReport& report) {
  std::unordered_map<Digest, VersionRecord> versions;
  SIGNUM_TRY(ForEachVersion(catalog, [&](const VersionRecord& version) -> Result<void> {
    for (const DamagedObject& object : report.damaged) {
      if (version.delta != object.digest) continue;
      // Of several the one that still has its upload.
      VersionRecord& known = versions[object.digest];
      if (!known.delta || version.exact_kept) known = version;
    }
    return {};
  }));
  return versions;
}

Error OtherBytes(const VersionRecord& version) {
  return Fail(Errc::kConflict, "other_bytes",
              "compressed again, its bytes are others than this version's (its training ran on "
              "another machine or device, or by another release); a new version of it: signum "
              "recompress " +
                  NameOf(version));
}

Result<void> Remake(const MaintenanceContext& context, const VersionRecord& version,
                    const fs::path& output, const JobSteps& steps) {
  if (!version.exact_kept) {
    return Fail(Errc::kNotFound, "exact_not_kept",
                "the exact upload of " + NameOf(version) + " is not kept");
  }
  App& app = context.app;
  SIGNUM_ASSIGN(const BaseRecord base, app.catalog.GetBase(version.base));
  SIGNUM_ASSIGN(const VersionOptions asked, VersionOptions::FromJson(version.options_json));
  CompressInput input(app.objects);
  SIGNUM_TRY(input.OpenBase(base));
  SIGNUM_TRY(input.OpenExact(*version.recipe, [&] { return steps("repair", 0); }));
  SIGNUM_ASSIGN(MakeDeltaOptions options, input.Options(asked));
  options.compress.device = context.options.device;
  options.backend = context.options.backend;
  options.compress.threads = options.distill.threads = context.options.threads;
  const auto show = [&](const MakeDeltaProgress& made) { return steps("repair", made.done); };
  SIGNUM_ASSIGN(const MadeDelta made, input.Make(options, output, show));
  if (made.summary.sealed.digest != *version.delta) return OtherBytes(version);
  SIGNUM_ASSIGN(const auto file, MappedFile::Open(output));
  SIGNUM_TRY(app.objects.Put(*file, *version.delta));
  return {};
}

}  // namespace

Result<void> RemakeDeltas(const MaintenanceContext& context, ScrubReport& report,
                          const JobSteps& steps) {
  SIGNUM_ASSIGN(const auto versions, VersionsOf(context.app.catalog, report));
  const fs::path output = context.options.data / "tmp" / "repair.delta";
  for (DamagedObject& object : report.damaged) {
    const auto version = versions.find(object.digest);
    if (object.repaired || version == versions.end()) continue;
    const auto made = Remake(context, version->second, output, steps);
    std::error_code ignored;  // it may not have been made
    fs::remove(output, ignored);
    if (made.has_error() && made.error().code == Errc::kCancelled) return made;
    object.repaired = made.has_value();
    if (made.has_error()) object.not_repaired = made.error().message;
  }
  return {};
}

}  // namespace signum
