#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "server/compress_input.h"
#include "server/phase_reporter.h"
#include "server/worker.h"
#include "storage/catalog.h"
#include "storage/format/checkpoint.h"
#include "storage/object_store.h"

namespace signum {

class DevicePool;
class Rebuilder;

// Makes one version from its upload, or from the exact upload of another version: ingest, compress
// (and distil), verify, seal. What each phase produced is recorded before the next begins, or made
// again: running the same job twice gives the same bytes.
class CompressJob {
 public:
  CompressJob(const WorkerContext& context, const WorkerOptions& options, DevicePool& devices,
              JobRecord job, const std::atomic<bool>& stopping);
  ~CompressJob();  // removes the temporary file

  // The version is ready when this succeeds. An error leaves version and job as they are: see
  // Worker.
  Result<void> Run();

  // Present once Run() has read it.
  const std::optional<VersionRecord>& version() const { return version_; }
  const std::optional<Error>& stopped() const { return progress_.Why(); }

 private:
  Result<void> Load();
  Result<void> Ingest();
  Result<void> IngestExactly(const Checkpoint& checkpoint);
  Result<Recipe> HashOnly(const Checkpoint& checkpoint);
  Result<void> Compress();
  bool Show(const MakeDeltaProgress& progress);
  void Describe(const MakeDeltaOptions& options, const MadeDelta& made);
  Result<void> Verify();
  Result<RebuiltFile> RebuildAndHash(const Rebuilder& rebuilder, const RecipeFile& file,
                                     uint64_t* done);
  Result<void> Seal();
  Result<std::string> SignedManifest() const;
  Result<void> LetUploadGo(bool rejected);
  Result<void> Finish();
  ByteProgress Steps();

  const WorkerContext& context_;
  const WorkerOptions& options_;
  DevicePool& devices_;
  JobRecord job_;
  PhaseReporter progress_;
  const std::filesystem::path output_;      // the delta file while it is made
  const std::filesystem::path state_file_;  // of a training, for the next start

  std::optional<VersionRecord> version_;
  VersionOptions asked_;
  CompressInput input_;
  CompressSummary summary_;
  std::string phase_;                // that MakeDelta is in
  std::string method_, embeddings_;  // as made
  std::string calibration_json_;
};

}  // namespace signum
