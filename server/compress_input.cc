#include "server/compress_input.h"

#include <utility>

#include "gpu/checkpoint_blobs.h"
#include "gpu/distill/calibration.h"
#include "server/upload_access.h"
#include "storage/format/adapter.h"
#include "storage/format/manifest.h"

namespace signum {
namespace {

// Headers and small files that the delta must carry: those of the fine-tune, wherever it lies, that
// the base has not.
class InputBlobs final : public BlobSource {
 public:
  InputBlobs(std::shared_ptr<const RecipeObjects> base, std::shared_ptr<const BaseBlobs> fine)
      : base_(std::move(base)), fine_(std::move(fine)) {}
  bool BaseHas(const Digest& digest) const override { return base_->Has(digest); }
  Result<std::shared_ptr<const ByteSource>> Open(const Digest& digest) const override {
    return fine_->OpenBlob(digest);
  }

 private:
  std::shared_ptr<const RecipeObjects> base_;
  std::shared_ptr<const BaseBlobs> fine_;
};

}  // namespace

Result<void> CompressInput::OpenBase(const BaseRecord& base) {
  base_digest_ = base.digest;
  SIGNUM_ASSIGN(base_, StoredCheckpoint::Open(objects_, base.recipe));
  base_objects_ = std::make_shared<const RecipeObjects>(objects_, base.recipe, base_->recipe());
  return {};
}

Result<void> CompressInput::OpenUpload(std::shared_ptr<const Checkpoint> upload, Recipe recipe,
                                       const GoOn& go_on) {
  uploaded_ = std::move(upload);
  if (uploaded_->is_adapter()) return PutOnBase(*uploaded_, go_on);
  recipe_ = std::move(recipe);
  architecture_ = ArchitectureOf(uploaded_->config_json());
  blobs_ = std::make_unique<InputBlobs>(
      base_objects_, std::make_shared<const CheckpointBlobs>(*uploaded_, recipe_));
  fine_ = uploaded_;
  return {};
}

Result<void> CompressInput::OpenExact(const Digest& recipe, const GoOn& go_on) {
  SIGNUM_ASSIGN(const auto stored, StoredCheckpoint::Open(objects_, recipe));
  SIGNUM_ASSIGN(auto files, FilesOf(*stored));
  if (IsAdapter(files)) {
    SIGNUM_ASSIGN(uploaded_, Checkpoint::ParseFineTune(std::move(files)));
    return PutOnBase(*uploaded_, go_on);
  }
  SIGNUM_ASSIGN(const auto config, stored->OpenFile("config.json"));
  SIGNUM_ASSIGN(const std::string text, ReadAll(*config, kMaxSafetensorsHeader));
  architecture_ = ArchitectureOf(text);
  recipe_ = stored->recipe();
  blobs_ = std::make_unique<InputBlobs>(
      base_objects_, std::make_shared<const RecipeObjects>(objects_, recipe, recipe_));
  fine_ = stored;
  return {};
}

// What nodes run of an adapter is the base with its weights added, so that is what the delta's
// recipe describes; the version's recipe stays that of the upload.
Result<void> CompressInput::PutOnBase(const Checkpoint& adapter, const GoOn& go_on) {
  SIGNUM_ASSIGN(const auto base_files, FilesOf(*base_));
  SIGNUM_ASSIGN(MergedAdapter merged, MergeAdapter(base_files, adapter));
  SIGNUM_ASSIGN(HashedCheckpoint hashed,
                HashCheckpoint(*merged.checkpoint, [&](uint64_t) { return go_on(); }));
  architecture_ = ArchitectureOf(merged.checkpoint->config_json());
  recipe_ = std::move(hashed.recipe);
  blobs_ = std::make_unique<InputBlobs>(
      base_objects_, std::make_shared<const CheckpointBlobs>(*merged.checkpoint, recipe_));
  fine_ = std::move(merged.checkpoint);
  factors_ = std::move(merged.factors);
  return {};
}

Result<std::string> CompressInput::FineFile(std::string_view path) const {
  SIGNUM_ASSIGN(const auto bytes, blobs_->Open(recipe_.Find(path)->digest));
  return ReadAll(*bytes, kMaxSafetensorsHeader);
}

Result<std::shared_ptr<const Tokenizer>> CompressInput::OpenTokenizer() const {
  for (const std::string_view file : Tokenizer::kFiles) {
    if (recipe_.Find(file) == nullptr) continue;
    SIGNUM_ASSIGN(const std::string bytes, FineFile(file));
    return Tokenizer::Open(file, bytes);
  }
  return NoTokenizer();
}

// The publisher's text or ids as rows.
Result<void> CompressInput::ReadCalibration(const VersionOptions& asked,
                                            DistillOptions& options) const {
  if (!asked.calibration_tokens.empty()) {
    SIGNUM_ASSIGN(options.calibration, ParseTokenRows(asked.calibration_tokens));
  }
  if (asked.calibration_text.empty()) return {};
  SIGNUM_ASSIGN(const auto tokenizer, OpenTokenizer());
  const auto embedding = fine_->Find(kEmbeddingName);
  const uint64_t vocabulary = embedding ? fine_->tensors()[*embedding].shape[0] : 0;
  SIGNUM_ASSIGN(options.calibration,
                TokenizeText(*tokenizer, asked.calibration_text, options.row_tokens + 1,
                             static_cast<int64_t>(vocabulary)));
  return {};
}

Result<MakeDeltaOptions> CompressInput::Options(const VersionOptions& asked) const {
  MakeDeltaOptions options = asked.ForDelta();
  options.compress.factors = factors_;
  if (options.distill.method != Method::kNone) SIGNUM_TRY(ReadCalibration(asked, options.distill));
  return options;
}

Result<MadeDelta> CompressInput::Make(const MakeDeltaOptions& options,
                                      const std::filesystem::path& output,
                                      const MakeDeltaCallback& callback) const {
  SIGNUM_ASSIGN(const auto base_file, base_->OpenFile("config.json"));
  SIGNUM_ASSIGN(const std::string base_config, ReadAll(*base_file, kMaxSafetensorsHeader));
  SIGNUM_ASSIGN(const std::string fine_config, FineFile("config.json"));
  const DeltaModels models{base_, base_config, base_digest_, base_objects_, fine_, fine_config};
  return MakeDelta({models, recipe_, *blobs_}, options, output, callback);
}

}  // namespace signum
