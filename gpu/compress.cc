#include "gpu/compress.h"

#include <algorithm>
#include <unordered_set>

#include "gpu/choices.h"
#include "gpu/compress_checks.h"
#include "gpu/encode.h"
#include "gpu/lowrank.h"

namespace signum {
namespace {

// The delta's __metadata__ without stated codecs, at most.
constexpr uint64_t kMetadataBytes = 512;

class Compressor {
 public:
  Compressor(const CheckpointSource& base, const CheckpointSource& fine,
             const CompressOptions& options, const CompressCallback& callback, DeltaWriter& writer,
             std::filesystem::path trial)
      : base_(base),
        fine_(fine),
        options_(options),
        writer_(writer),
        progress_(callback, TotalBytes(fine)),
        context_{writer_, options_, progress_, options_.planes, std::move(trial)} {}

  // The recipe, and the headers and small files that the base lacks.
  Result<void> Files(const Recipe& recipe, const BlobSource& blobs) {
    const std::string text = recipe.Serialize();
    SIGNUM_TRY(writer_.Add({std::string(kRecipeName), Dtype::kU8, {text.size()}}, AsBytes(text)));
    std::unordered_set<Digest> added;
    for (const RecipeFile& file : recipe.files) {
      const Digest& digest = file.safetensors ? file.header : file.digest;
      if (blobs.BaseHas(digest) || !added.insert(digest).second) continue;
      SIGNUM_ASSIGN(const auto bytes, blobs.Open(digest));
      PartWriter part(writer_);
      SIGNUM_TRY(part.Begin(BlobName(digest), Dtype::kU8, {bytes->size()}));
      SIGNUM_TRY(part.Copy(*bytes, 0, progress_));
      fixed_bytes_ += FileBytes({BlobName(digest), Dtype::kU8, {bytes->size()}});
    }
    upload_bytes_ = recipe.TotalBytes();
    fixed_bytes_ += FileBytes({std::string(kRecipeName), Dtype::kU8, {text.size()}});
    return {};
  }

  Result<void> Tensors(CompressSummary& summary) {
    if (options_.budget_bytes > 0 || options_.budget_ratio > 0) SIGNUM_TRY(Choose(summary));
    for (size_t i = 0; i < fine_.tensors().size(); ++i) {
      SIGNUM_ASSIGN(const Encoded encoded, Tensor(i));
      const TensorInfo& info = fine_.tensors()[i];
      summary.tensors.push_back({info, encoded.codec, encoded.bytes});
      if (encoded.codec == Codec::kSign1 || encoded.codec == Codec::kSign1Sparse ||
          encoded.codec == Codec::kLowrank) {
        summary.linear_weights += info.elements();
        summary.linear_bytes += encoded.bytes;
      }
    }
    return progress_.Done();
  }

 private:
  static uint64_t TotalBytes(const CheckpointSource& checkpoint) {
    uint64_t total = 0;
    for (const TensorInfo& info : checkpoint.tensors()) total += info.bytes();
    return total;
  }

  Result<PreparedTensor> Prepare(size_t index) {
    const TensorInfo& info = fine_.tensors()[index];
    progress_.StartTensor(info.name, info.bytes());
    SIGNUM_TRY(progress_.Tick());
    return PrepareTensor(context_, base_, fine_, index);
  }

  Result<Encoded> Tensor(size_t index) {
    SIGNUM_ASSIGN(const PreparedTensor tensor, Prepare(index));
    if (!chosen_.empty()) return EncodeChoice(context_, tensor, chosen_[index]);
    switch (tensor.kind) {
      case PreparedTensor::Kind::kSame:
        return Encoded{Codec::kSame, 0};
      case PreparedTensor::Kind::kRaw:
        break;
      case PreparedTensor::Kind::kLinear:
        return EncodeBestLinear(context_, tensor.input, *tensor.pairs, tensor.survey);
      case PreparedTensor::Kind::kFactors:
        return EncodeFactors(context_, tensor.input.info, *tensor.factors);
      case PreparedTensor::Kind::kRows:
        return EncodeRows(context_, tensor.input, *tensor.pairs, tensor.survey);
    }
    return EncodeRaw(context_, tensor.input);
  }

  // Measures every tensor and divides the budget among them.
  Result<void> Choose(CompressSummary& summary) {
    progress_.ExpectRounds(2);
    std::vector<std::vector<Choice>> choices;
    std::vector<std::vector<Cost>> costs;
    for (size_t i = 0; i < fine_.tensors().size(); ++i) {
      SIGNUM_ASSIGN(const PreparedTensor tensor, Prepare(i));
      SIGNUM_ASSIGN(auto measured, MeasureChoices(context_, tensor));
      costs.emplace_back();
      for (const Choice& choice : measured) costs.back().push_back(choice.cost);
      choices.push_back(std::move(measured));
    }
    SIGNUM_ASSIGN(const auto picked, Allocate(costs, TensorBudget()));
    for (size_t i = 0; i < picked.size(); ++i) {
      chosen_.push_back(choices[i][picked[i]]);
      ++summary.choices[chosen_.back().Name()];
      summary.squared_error += chosen_.back().cost.error;
    }
    return {};
  }

  // What of the budget is left for tensors.
  uint64_t TensorBudget() const {
    const uint64_t budget =
        options_.budget_bytes > 0
            ? options_.budget_bytes
            : static_cast<uint64_t>(static_cast<double>(upload_bytes_) / options_.budget_ratio);
    const uint64_t fixed = fixed_bytes_ + kMetadataBytes + kDeltaAlignment;
    return budget > fixed ? budget - fixed : 0;
  }

  const CheckpointSource& base_;
  const CheckpointSource& fine_;
  const CompressOptions& options_;
  DeltaWriter& writer_;
  JobProgress progress_;
  EncodeContext context_;
  uint64_t fixed_bytes_ = 0;  // of what is no weight
  uint64_t upload_bytes_ = 0;
  std::vector<Choice> chosen_;  // by tensor; empty without a budget
};

DeltaHeader HeaderOf(const Digest& base_digest, const CompressOptions& options,
                     const CompressSummary& summary) {
  DeltaHeader header;
  header.base = base_digest;
  header.codec = CodecName(options.codec);
  header.scales = ScaleKindName(options.scales);
  for (const ManifestTensor& tensor : summary.tensors) {
    header.codecs.emplace(tensor.info.name, tensor.codec);
  }
  return header;
}

}  // namespace

Result<CompressSummary> CompressCheckpoint(const CheckpointSource& base, const Digest& base_digest,
                                           const CheckpointSource& fine, const Recipe& recipe,
                                           const BlobSource& blobs, const CompressOptions& options,
                                           const std::filesystem::path& output,
                                           const CompressCallback& callback) {
  SIGNUM_TRY(CheckOptions(options));
  SIGNUM_TRY(CheckNames(fine));
  SIGNUM_ASSIGN(const auto writer, DeltaWriter::Create(output));
  CompressSummary summary;
  Compressor compressor(base, fine, options, callback, *writer, output.native() + ".trial");
  SIGNUM_TRY(compressor.Files(recipe, blobs));
  SIGNUM_TRY(compressor.Tensors(summary));
  SIGNUM_ASSIGN(summary.sealed, writer->Finish(HeaderOf(base_digest, options, summary)));
  return summary;
}

}  // namespace signum
