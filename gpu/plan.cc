#include "gpu/plan.h"

#include <algorithm>
#include <unordered_set>

#include "gpu/codec_parts.h"
#include "gpu/compress_checks.h"
#include "gpu/tensor_class.h"

namespace signum {
namespace {

constexpr uint64_t kLargestSmallFile = uint64_t{64} << 20;

class Planner {
 public:
  Planner(const Checkpoint& base, const Checkpoint& fine, const CompressOptions& options)
      : base_(base), fine_(fine), options_(options) {}

  Result<DeltaPlan> Run() {
    header_.codec = CodecName(options_.codec);
    header_.scales = ScaleKindName(options_.scales);
    for (const TensorInfo& info : fine_.tensors()) SIGNUM_TRY(Tensor(info));
    SIGNUM_TRY(Files());
    for (const CheckpointFile& file : fine_.files()) plan_.upload += file.bytes->size();
    plan_.size = DeltaFileBytes(header_, parts_);
    header_class_.delta_bytes = plan_.size - BytesOf(parts_);
    plan_.classes = {linear_, embedding_, exact_, files_, header_class_};
    return std::move(plan_);
  }

 private:
  Result<void> Tensor(const TensorInfo& info) {
    const std::optional<size_t> at = base_.Find(info.name);
    TensorClass kind = ClassifyTensor(info);
    if (!at || !IsFloat(base_.tensors()[*at].dtype)) kind = TensorClass::kExact;
    if (at) SIGNUM_TRY(CheckShape(base_.tensors()[*at], info));
    switch (kind) {
      case TensorClass::kLinear:
        if (options_.codec == Codec::kRaw) break;
        Add(linear_, info, Codec::kSign1, Sign1Parts(info, options_));
        return {};
      case TensorClass::kEmbedding: {
        const uint64_t rows = base_.tensors()[*at].shape[0];
        Add(embedding_, info, Codec::kRows, RowsParts(info, rows, info.shape[0] - rows, options_));
        return {};
      }
      case TensorClass::kExact:
        break;
    }
    Add(kind == TensorClass::kLinear ? linear_ : exact_, info, Codec::kRaw, {info});
    return {};
  }

  void Add(PlanClass& to, const TensorInfo& info, Codec codec,
           const std::vector<TensorInfo>& parts) {
    ++to.tensors;
    to.weights += info.elements();
    to.fine_bytes += info.bytes();
    to.delta_bytes += BytesOf(parts);
    header_.codecs.emplace(info.name, codec);
    parts_.insert(parts_.end(), parts.begin(), parts.end());
  }

  // The recipe, and what of headers and small files the base has not.
  Result<void> Files() {
    std::unordered_set<Digest> base_has;
    for (size_t i = 0; i < base_.files().size(); ++i) {
      SIGNUM_ASSIGN(const auto piece, SmallPiece(base_, i));
      if (piece) base_has.insert(Sha256::Of(AsBytes(*piece)));
    }
    for (size_t i = 0; i < fine_.files().size(); ++i) {
      const CheckpointFile& file = fine_.files()[i];
      SIGNUM_ASSIGN(const auto piece, SmallPiece(fine_, i));
      if (!file.path.ends_with(".safetensors")) files_.fine_bytes += file.bytes->size();
      const uint64_t size = piece ? piece->size() : file.bytes->size();
      const Digest digest = Sha256::Of(AsBytes(piece ? *piece : file.path));
      if (base_has.insert(digest).second) AddFile({BlobName(digest), Dtype::kU8, {size}});
    }
    AddFile({std::string(kRecipeName), Dtype::kU8, {RecipeOfSameSize().Serialize().size()}});
    return {};
  }

  void AddFile(TensorInfo info) {
    ++files_.tensors;
    files_.delta_bytes += info.bytes();
    parts_.push_back(std::move(info));
  }

  // A shard's header or a small file; nothing where it is too large to be compared.
  static Result<std::optional<std::string>> SmallPiece(const Checkpoint& checkpoint, size_t file) {
    const auto& bytes = checkpoint.files()[file].bytes;
    uint64_t size = bytes->size();
    for (const Checkpoint::Shard& shard : checkpoint.shards()) {
      if (shard.file == file) size = shard.header.header_bytes;
    }
    if (size > kLargestSmallFile) return std::optional<std::string>();
    SIGNUM_ASSIGN(std::string piece, ReadAll(SliceSource(bytes, 0, size), size));
    return std::optional<std::string>(std::move(piece));
  }

  // All digests are of one length, so any will do.
  Recipe RecipeOfSameSize() const {
    Recipe recipe;
    for (const CheckpointFile& file : fine_.files()) {
      recipe.files.push_back({file.path, file.bytes->size(), {}, false, {}, 0, {}});
    }
    for (const Checkpoint::Shard& shard : fine_.shards()) {
      RecipeFile& file = recipe.files[shard.file];
      file.safetensors = true;
      file.header_size = shard.header.header_bytes;
      file.tensors.resize(shard.header.tensors.size());
    }
    return recipe;
  }

  const Checkpoint& base_;
  const Checkpoint& fine_;
  const CompressOptions& options_;
  DeltaHeader header_;
  std::vector<TensorInfo> parts_;
  PlanClass linear_{"linear"}, embedding_{"embedding"}, exact_{"exact"}, files_{"files"},
      header_class_{"header"};
  DeltaPlan plan_;
};

}  // namespace

Result<DeltaPlan> PlanDelta(const Checkpoint& base, const Checkpoint& fine,
                            const CompressOptions& options) {
  SIGNUM_TRY(CheckOptions(options));
  SIGNUM_TRY(CheckNames(fine));
  SIGNUM_TRY(CheckArchitecture(base.config_json(), base, fine.config_json(), fine));
  return Planner(base, fine, options).Run();
}

}  // namespace signum
