#include "server/compress_job.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "gpu/distill/report_json.h"
#include "server/upload_access.h"
#include "storage/base/file.h"
#include "storage/format/manifest.h"
#include "storage/references.h"
#include "storage/uploads.h"

namespace signum {
namespace {

// Where each phase begins on the way from 0 to 1: roughly its share of the time.
constexpr double kIngestFrom = 0, kCompressFrom = 0.1, kVerifyFrom = 0.85, kSealFrom = 0.95;
constexpr std::string_view kGateFailed = "gate_failed";
constexpr size_t kHashBytes = 1 << 20;

}  // namespace

CompressJob::CompressJob(const WorkerContext& context, const WorkerOptions& options,
                         DevicePool& devices, JobRecord job, const std::atomic<bool>& stopping)
    : context_(context),
      options_(options),
      devices_(devices),
      job_(std::move(job)),
      progress_(context.catalog, job_.id, stopping),
      output_(options.tmp_directory / (job_.id + ".delta")),
      state_file_(StateFile(options, job_.id)),
      input_(context.objects) {}

CompressJob::~CompressJob() {
  std::error_code ignored;  // it may never have been made
  std::filesystem::remove(output_, ignored);
}

Result<void> CompressJob::Run() {
  SIGNUM_TRY(Load());
  const bool sealed = version_->delta && version_->manifest;  // by a process that died just after
  if (!sealed) {
    SIGNUM_TRY(Ingest());
    SIGNUM_TRY(Compress());
    SIGNUM_TRY(Verify());
    SIGNUM_TRY(Seal());
  }
  return Finish();
}

ByteProgress CompressJob::Steps() {
  return [this](uint64_t done) { return progress_.Step(done); };
}

Result<void> CompressJob::Load() {
  SIGNUM_ASSIGN(version_, context_.catalog.GetVersion(job_.tenant, job_.model, job_.version));
  SIGNUM_ASSIGN(asked_, VersionOptions::FromJson(version_->options_json));
  SIGNUM_ASSIGN(const BaseRecord base, context_.catalog.GetBase(version_->base));
  return input_.OpenBase(base);
}

// ---- ingest

Result<void> CompressJob::Ingest() {
  progress_.Begin("ingest", kIngestFrom, kCompressFrom, version_->upload_bytes);
  const auto go_on = [this] { return progress_.Step(version_->upload_bytes); };
  if (!version_->exact_kept) {
    SIGNUM_ASSIGN(auto files, context_.uploads.OpenFiles(version_->upload));
    SIGNUM_ASSIGN(std::shared_ptr<const Checkpoint> upload,
                  Checkpoint::ParseFineTune(std::move(files)));
    if (!asked_.keep_exact) {
      SIGNUM_ASSIGN(Recipe recipe, HashOnly(*upload));
      return input_.OpenUpload(std::move(upload), std::move(recipe), go_on);
    }
    SIGNUM_TRY(IngestExactly(*upload));
  }
  // From here on an exactly kept upload is read from the store: a job that starts again does not
  // need the staged files.
  return input_.OpenExact(*version_->recipe, go_on);
}

Result<void> CompressJob::IngestExactly(const Checkpoint& checkpoint) {
  SIGNUM_ASSIGN(const auto ingested,
                IngestFineTune(context_.objects, checkpoint, *input_.base(), Steps()));
  version_->recipe = ingested.recipe_digest;
  version_->exact_kept = true;
  SIGNUM_ASSIGN(version_->exact_bytes,
                BytesStoredSince(context_.objects, ingested.recipe_digest, job_.started));
  return context_.catalog.UpdateVersion(*version_, nullptr);
}

// Nothing of the upload but its recipe enters the store, so there is nothing to take out again.
Result<Recipe> CompressJob::HashOnly(const Checkpoint& checkpoint) {
  SIGNUM_ASSIGN(auto hashed, HashCheckpoint(checkpoint, Steps()));
  const std::string recipe = hashed.recipe.Serialize();
  SIGNUM_ASSIGN(const auto stored, context_.objects.Put(AsBytes(recipe)));
  version_->recipe = stored.digest;
  version_->exact_kept = false;
  version_->exact_bytes = 0;
  SIGNUM_TRY(context_.catalog.UpdateVersion(*version_, nullptr));
  return std::move(hashed.recipe);
}

// ---- compress and distil

namespace {

// Where each phase of MakeDelta lies between the fractions of the job that it has.
struct PhaseShare {
  std::string_view phase;
  double from, to;
};
constexpr std::array<PhaseShare, 5> kShares = {{{"compress", 0, 0.1},
                                                {"calibrate", 0.1, 0.2},
                                                {"layerwise", 0.2, 0.3},
                                                {"distill", 0.3, 0.9},
                                                {"evaluate", 0.9, 1}}};

}  // namespace

// How far it is, in the units its rate is stated in: steps of a training, bytes of a compression.
bool CompressJob::Show(const MakeDeltaProgress& progress) {
  const bool trains = progress.distill.steps > 0;
  const double total = trains ? static_cast<double>(progress.distill.steps)
                       : progress.phase == "compress"
                           ? static_cast<double>(input_.recipe().TotalBytes())
                           : 1000;
  if (progress.phase != phase_) {
    phase_ = progress.phase;
    const auto* share = std::find_if(kShares.begin(), kShares.end(),
                                     [&](const PhaseShare& each) { return each.phase == phase_; });
    const double width = kVerifyFrom - kCompressFrom;
    progress_.Begin(phase_, kCompressFrom + width * share->from, kCompressFrom + width * share->to,
                    static_cast<uint64_t>(total));
  }
  if (trains) progress_.Loss(progress.distill.loss);
  return progress_.Step(static_cast<uint64_t>(progress.done * total));
}

Result<void> CompressJob::Compress() {
  SIGNUM_ASSIGN(MakeDeltaOptions options, input_.Options(asked_));
  options.compress.device = options_.device;
  options.devices = &devices_;
  options.backend = options_.backend;
  options.compress.threads = options.distill.threads = options_.threads_per_job;
  options.distill.state_file = state_file_;
  SIGNUM_ASSIGN(MadeDelta made, input_.Make(options, output_, [this](const auto& progress) {
    return Show(progress);
  }));
  if (!made.method_note.empty())
    spdlog::info("job {}: not distilled: {}", job_.id, made.method_note);
  if (!made.device_note.empty()) spdlog::info("job {}: {}", job_.id, made.device_note);
  Describe(options, made);
  summary_ = std::move(made.summary);
  return {};
}

// What was made, and whether the gate lets it through.
void CompressJob::Describe(const MakeDeltaOptions& options, const MadeDelta& made) {
  nlohmann::json described = {{"method", MethodName(made.method)},
                              {"embeddings", made.exact_embeddings ? "exact" : "onebit"}};
  if (!made.method_note.empty()) described["note"] = made.method_note;
  if (!made.device_note.empty()) described["device_note"] = made.device_note;
  if (made.distilled) {
    calibration_json_ = CalibrationJson(options, made).dump();
    described["precision"] = options.backend == BackendOptions() ? "fp32" : "fast";
    described["calibration"] = nlohmann::json::parse(calibration_json_);
    version_->fidelity_json = FidelityJson(made.distilled->fidelity).dump();
  }
  version_->made_json = described.dump();
  method_ = MethodName(made.method);
  embeddings_ = made.exact_embeddings ? "exact" : "onebit";
  version_->error_reason = made.refused ? std::string(kGateFailed) : "";
  version_->error_message = made.refused.value_or("");
}

// ---- verify

// Rebuilds every file from base and delta, as whoever pulls it will, and remembers what comes out.
Result<void> CompressJob::Verify() {
  progress_.Begin("verify", kVerifyFrom, kSealFrom, input_.recipe().TotalBytes());
  SIGNUM_ASSIGN(auto file, MappedFile::Open(output_));
  SIGNUM_ASSIGN(auto delta, DeltaReader::Open(std::move(file), job_.id + ".delta"));
  SIGNUM_ASSIGN(const auto rebuilder, Rebuilder::Create(input_.base(), version_->base_digest,
                                                        input_.base_objects(), std::move(delta)));
  version_->rebuilt.clear();
  uint64_t done = 0;
  for (const RecipeFile& described : input_.recipe().files) {
    SIGNUM_ASSIGN(RebuiltFile rebuilt, RebuildAndHash(*rebuilder, described, &done));
    version_->rebuilt.push_back(std::move(rebuilt));
  }
  return {};
}

Result<RebuiltFile> CompressJob::RebuildAndHash(const Rebuilder& rebuilder, const RecipeFile& file,
                                                uint64_t* done) {
  SIGNUM_ASSIGN(const auto bytes, rebuilder.OpenFile(file.path));
  Sha256 hash;
  std::vector<std::byte> buffer(kHashBytes);
  for (uint64_t at = 0; at < bytes->size(); at += buffer.size()) {
    if (!progress_.Step(*done)) return *progress_.Why();
    const MutableBytes piece(buffer.data(), std::min<uint64_t>(buffer.size(), bytes->size() - at));
    SIGNUM_TRY(bytes->Read(at, piece));
    hash.Update(piece);
    *done += piece.size();
  }
  RebuiltFile rebuilt{file.path, bytes->size(), hash.Finish()};
  const bool exact_expected = !file.safetensors;
  if (rebuilt.size != file.size || (exact_expected && rebuilt.digest != file.digest)) {
    return Fail(Errc::kCorrupt, "rebuild_mismatch",
                "file '" + file.path + "' does not come back from base and delta as it should");
  }
  return rebuilt;
}

// ---- seal

Result<void> CompressJob::Seal() {
  progress_.Begin("seal", kSealFrom, 1, summary_.sealed.size);
  SIGNUM_ASSIGN(const auto file, MappedFile::Open(output_));
  SIGNUM_ASSIGN(const auto delta, context_.objects.Put(*file, summary_.sealed.digest, Steps()));
  SIGNUM_ASSIGN(const std::string envelope, SignedManifest());
  SIGNUM_ASSIGN(const auto manifest, context_.objects.Put(AsBytes(envelope)));
  version_->delta = delta.digest;
  version_->delta_bytes = delta.size;
  version_->manifest = manifest.digest;
  version_->linear_weights = summary_.linear_weights;
  version_->linear_bytes = summary_.linear_bytes;
  if (!progress_.StepNow(delta.size)) return *progress_.Why();
  return context_.catalog.UpdateVersion(*version_, nullptr);
}

// Depends on the version's record and the delta alone: sealing twice signs the same bytes.
Result<std::string> CompressJob::SignedManifest() const {
  Manifest manifest;
  manifest.tenant = version_->tenant;
  manifest.model = version_->model;
  manifest.version = version_->version;
  manifest.base = version_->base;
  manifest.base_digest = version_->base_digest;
  manifest.delta_size = summary_.sealed.size;
  manifest.delta_digest = summary_.sealed.digest;
  manifest.chunks = summary_.sealed.chunks;
  manifest.codec = CodecName(asked_.codec);
  manifest.scales = ScaleKindName(asked_.scales);
  manifest.embeddings = embeddings_;
  manifest.method = method_;
  manifest.fidelity_json = version_->fidelity_json;
  manifest.calibration_json = calibration_json_;
  manifest.architecture = input_.architecture();
  manifest.tensors = summary_.tensors;
  manifest.recipe = input_.recipe();
  manifest.creator = version_->creator;
  manifest.created = FormatTime(version_->created);
  return manifest.Sign(*context_.keys.Current());
}

// What a gate rejected and nothing else keeps stays where it was staged.
Result<void> CompressJob::LetUploadGo(bool rejected) {
  if (version_->upload.empty()) return {};
  const bool kept = rejected && !version_->exact_kept;
  const auto released =
      kept ? context_.uploads.Unpin(version_->upload) : context_.uploads.Remove(version_->upload);
  if (released.has_error() && released.error().code != Errc::kNotFound) return released.error();
  return {};
}

// The upload goes first: were it the other way round, a crash between would leave it pinned for
// ever.
Result<void> CompressJob::Finish() {
  const bool rejected = version_->error_reason == kGateFailed;
  SIGNUM_TRY(LetUploadGo(rejected));
  SIGNUM_ASSIGN(JobRecord job, context_.catalog.GetJob(job_.id));
  job.state = JobState::kDone;
  job.phase = "done";
  job.progress = 1;
  job.eta_seconds = 0;
  job.finished = context_.clock.Now();
  version_->state = rejected ? VersionState::kRejected : VersionState::kReady;
  version_->finished = job.finished;
  if (!asked_.keep_exact) version_->exact_kept = false;  // what it was made from is another's
  std::error_code ignored;                               // before anyone sees that the job is done
  std::filesystem::remove(output_, ignored);
  std::filesystem::remove(state_file_, ignored);
  return context_.catalog.FinishVersion(*version_, job);
}

}  // namespace signum
