#include "gpu/serve/tenant_weights.h"

#include "gpu/kernels/convert.h"
#include "gpu/model/checkpoint_weights.h"
#include "gpu/rebuilt_matrix.h"
#include "gpu/tensor_class.h"
#include "storage/base/name.h"

namespace signum {
namespace {

constexpr uint64_t kMaxFileBytes = 64u << 20;

// Whether a batch can go through both models at once.
Result<void> CheckSameShape(const LlamaConfig& base, const LlamaConfig& fine) {
  const auto shape = [](const LlamaConfig& c) {
    return std::array{c.hidden,   c.intermediate, c.layers,          c.heads,
                      c.kv_heads, c.head_dim,     int64_t{c.qk_norm}};
  };
  if (shape(base) == shape(fine)) return {};
  return Fail(Errc::kUnusable, "architecture_mismatch",
              "config.json: the fine-tune's layers have another shape than the base's");
}

Result<std::shared_ptr<const Checkpoint>> ParseRebuilt(const Rebuilder& rebuilder,
                                                       const Recipe& recipe) {
  std::vector<CheckpointFile> files;
  for (const RecipeFile& file : recipe.files) {
    SIGNUM_ASSIGN(auto bytes, rebuilder.OpenFile(file.path));
    files.push_back({file.path, std::move(bytes)});
  }
  return Checkpoint::Parse(std::move(files));
}

}  // namespace

Result<std::shared_ptr<TenantWeights>> TenantWeights::OfBase(
    std::shared_ptr<const BaseWeights> base) {
  std::shared_ptr<TenantWeights> out(new TenantWeights(std::move(base)));
  const BaseWeights::Sources& sources = out->base_->sources();
  SIGNUM_TRY(out->Finish(sources.config_json,
                         MakeCheckpointWeights(out->base_->backend(), sources.checkpoint)));
  return out;
}

Result<std::shared_ptr<TenantWeights>> TenantWeights::Open(
    std::shared_ptr<const BaseWeights> base, std::shared_ptr<const DeltaReader> delta,
    std::shared_ptr<const DeviceImage> image) {
  std::shared_ptr<TenantWeights> out(new TenantWeights(std::move(base)));
  out->image_ = std::move(image);
  SIGNUM_TRY(out->OpenDelta(std::move(delta)));
  return out;
}

void TenantWeights::LeaveHost() {
  if (student_ != nullptr) student_->LeaveHost();
  source_.reset();
  rebuilder_.reset();
  fine_.reset();
  delta_.reset();
}

Result<void> TenantWeights::OpenDelta(std::shared_ptr<const DeltaReader> delta) {
  const BaseWeights::Sources& sources = base_->sources();
  delta_ = std::move(delta);
  SIGNUM_ASSIGN(rebuilder_,
                Rebuilder::Create(sources.checkpoint, sources.digest, sources.blobs, delta_));
  SIGNUM_ASSIGN(fine_, ParseRebuilt(*rebuilder_, delta_->recipe()));
  SIGNUM_ASSIGN(student_, Student::Create(base_->backend(),
                                          {sources.checkpoint, fine_, delta_, rebuilder_, image_}));
  return Finish(fine_->config_json(), student_);
}

Result<void> TenantWeights::Finish(std::string_view config_json,
                                   std::shared_ptr<const WeightSource> source) {
  ops::Backend& backend = base_->backend();
  source_ = std::move(source);
  SIGNUM_ASSIGN(config_, ParseLlamaConfig(config_json));
  SIGNUM_TRY(CheckSameShape(base_->config(), config_));
  SIGNUM_TRY(ModelWeights::Check(Compute(backend, 1), config_, source_));
  vocabulary_ = source_->Find(kEmbeddingName)->rows;
  layers_.resize(static_cast<size_t>(config_.layers));
  for (int64_t l = 0; l < config_.layers; ++l) {
    for (size_t i = 0; i < kLinears; ++i) {
      const auto kind = static_cast<LinearKind>(i);
      SIGNUM_ASSIGN(layers_[static_cast<size_t>(l)][i],
                    OpenWeight(LinearName(l, kind), base_->matrix(l, kind)));
    }
  }
  // A fine-tune may tie its head to the embedding where the base has one of its own.
  const bool tied = config_.tied_embeddings;
  SIGNUM_ASSIGN(head_, OpenWeight(tied ? kEmbeddingName : kHeadName,
                                  tied ? base_->embedding() : base_->head()));
  SIGNUM_TRY(OpenEmbedding());
  SIGNUM_ASSIGN(vectors_, ModelVectors::Load(backend, config_, *source_));
  rope_ = base_->rope();
  if (config_.inverse_periods != base_->config().inverse_periods ||
      config_.max_positions != base_->config().max_positions) {
    SIGNUM_ASSIGN(RopeTable rope, RopeTable::Create(backend, config_, config_.max_positions));
    rope_ = std::make_shared<const RopeTable>(std::move(rope));
  }
  return CheckBackend(backend);
}

Result<WeightDelta> TenantWeights::OpenWeight(std::string_view name, const DenseMatrix& base) {
  WeightDelta out;
  out.base = &base;
  out.rows = base.rows;
  if (student_ == nullptr) return out;
  const TensorInfo& info = fine_->tensors()[*fine_->Find(name)];
  out.rows = static_cast<int64_t>(info.shape[0]);
  const Codec codec = delta_->header().codecs.at(info.name);
  if (codec == Codec::kRaw) {
    SIGNUM_ASSIGN(DenseMatrix own, OwnMatrix(name, info));
    own_.push_back(std::make_unique<const DenseMatrix>(std::move(own)));
    out.base = own_.back().get();
  } else if (codec == Codec::kLowrank) {
    SIGNUM_TRY(OpenLowrank(name, out));
  } else if (const SignTensor* tensor = student_->Signs(name)) {
    for (size_t p = 0; p < tensor->planes.size(); ++p) {
      out.planes.push_back(student_->Plane(*tensor, p, 0));
    }
    if (tensor->listed) SIGNUM_TRY(OpenListed(*tensor, out));
  }
  return out;
}

// Rows with signs, and rows with values in the fine-tune's dtype.
Result<void> TenantWeights::OpenListed(const SignTensor& tensor, WeightDelta& out) {
  ops::Backend& backend = base_->backend();
  out.listed = true;
  out.sign_rows = tensor.sign_rows;
  out.value_rows = tensor.value_rows;
  out.sign_rows_device = tensor.sign_rows_device;
  SIGNUM_ASSIGN(out.value_rows_device, UploadValues(backend, out.value_rows));
  if (tensor.values == nullptr) return {};
  out.values.type = tensor.value_type;
  out.values.rows = static_cast<int64_t>(out.value_rows.size());
  out.values.columns = tensor.shape.columns;
  SIGNUM_ASSIGN(out.values.bytes,
                LoadBytes(backend, tensor.values, 0, tensor.values->size(), image_.get()));
  return {};
}

Result<void> TenantWeights::OpenLowrank(std::string_view name, WeightDelta& out) {
  const auto factor = [&](const std::string& part_name) -> Result<DenseMatrix> {
    const SafetensorsEntry* part = delta_->FindPart(part_name);
    if (part == nullptr) {
      return Fail(Errc::kCorrupt, "missing_part",
                  "the delta has no '" + Printable(part_name) + "'");
    }
    return OwnMatrix(part_name, part->info);
  };
  SIGNUM_ASSIGN(out.a, factor(LoraAName(name)));
  SIGNUM_ASSIGN(const DenseMatrix b, factor(LoraBName(name)));
  float scale = 1;
  if (const SafetensorsEntry* part = delta_->FindPart(ScaleName(name))) {
    SIGNUM_ASSIGN(const auto values, ReadValues<float>(*delta_->OpenPart(*part)));
    if (!values.empty()) scale = values[0];
  }
  // The scale goes into b, in float32, once.
  const SafetensorsEntry* part = delta_->FindPart(LoraBName(name));
  SIGNUM_ASSIGN(const std::string bytes, ReadAll(*delta_->OpenPart(*part), part->info.bytes()));
  std::vector<float> values(static_cast<size_t>(b.rows * b.columns));
  kernels::ToFloat({b.type, bytes.data()}, values.size(), values.data());
  for (float& value : values) value *= scale;
  out.b = {kernels::Element::kF32, {}, b.rows, b.columns};
  SIGNUM_ASSIGN(out.b.bytes, UploadValues(base_->backend(), values));
  return {};
}

// A matrix that the delta holds whole.
Result<DenseMatrix> TenantWeights::OwnMatrix(std::string_view name, const TensorInfo& info) {
  const SafetensorsEntry* part = delta_->FindPart(name);
  const bool fits = part != nullptr && ElementOf(info.dtype) && info.shape.size() == 2;
  SIGNUM_TRY(CheckPart(fits, info, "what is stored"));
  DenseMatrix out{*ElementOf(info.dtype),
                  {},
                  static_cast<int64_t>(info.shape[0]),
                  static_cast<int64_t>(info.shape[1])};
  SIGNUM_ASSIGN(out.bytes, LoadBytes(base_->backend(), delta_->OpenPart(*part), 0, info.bytes(),
                                     image_.get()));
  return out;
}

Result<std::string> TenantWeights::File(std::string_view path) const {
  if (rebuilder_ != nullptr) {
    SIGNUM_ASSIGN(const auto bytes, rebuilder_->OpenFile(path));
    return ReadAll(*bytes, kMaxFileBytes);
  }
  return base_->sources().file(path);
}

}  // namespace signum
