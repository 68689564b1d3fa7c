#include "gpu/compress.h"

#include <algorithm>
#include <unordered_set>

#include "gpu/encode.h"
#include "gpu/tensor_class.h"
#include "storage/base/name.h"
#include "storage/format/checkpoint.h"
#include "storage/format/safetensors.h"

namespace signum {
namespace {

// sign1-sparse is chosen where at least half of the differences are exactly 0: from there on, its
// mask buys more than the same bits would as a second plane of signs (KERNELS.md, "When a weight is
// sparse").
bool IsSparse(const Survey& survey, uint64_t elements) {
  return survey.zeros >= elements - survey.zeros;
}

class Compressor {
 public:
  Compressor(const CheckpointSource& base, const CheckpointSource& fine,
             const CompressOptions& options, const CompressCallback& callback, DeltaWriter& writer)
      : base_(base),
        fine_(fine),
        options_(options),
        writer_(writer),
        progress_(callback, TotalBytes(fine)),
        context_{writer_, options_, progress_} {}

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
    }
    return {};
  }

  Result<void> Tensors(CompressSummary& summary) {
    for (size_t i = 0; i < fine_.tensors().size(); ++i) {
      const TensorInfo& info = fine_.tensors()[i];
      progress_.StartTensor(info.name, info.bytes());
      SIGNUM_TRY(progress_.Tick());
      SIGNUM_ASSIGN(const Encoded encoded, Tensor(i));
      summary.tensors.push_back({info, encoded.codec, encoded.bytes});
      if (encoded.codec == Codec::kSign1 || encoded.codec == Codec::kSign1Sparse) {
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

  Result<Encoded> Tensor(size_t index) {
    const TensorInfo& info = fine_.tensors()[index];
    SIGNUM_ASSIGN(auto bytes, fine_.Open(index));
    const EncodeInput input{info, std::move(bytes)};
    const std::optional<size_t> at = base_.Find(info.name);
    if (!at) return EncodeRaw(context_, input);
    const TensorInfo& base_info = base_.tensors()[*at];
    const bool same_type = base_info.dtype == info.dtype && base_info.shape == info.shape;
    if (same_type && SameDigest(*at, index)) return Encoded{Codec::kSame, 0};
    SIGNUM_TRY(CheckShape(base_info, info));
    SIGNUM_ASSIGN(auto base_bytes, base_.Open(*at));
    if (ClassifyTensor(info) != TensorClass::kExact && IsFloat(base_info.dtype)) {
      return Matrix(input, base_info, std::move(base_bytes));
    }
    if (same_type) {
      SIGNUM_ASSIGN(const bool same, SameBytes(*base_bytes, *input.fine));
      if (same) return Encoded{Codec::kSame, 0};
    }
    return EncodeRaw(context_, input);
  }

  bool SameDigest(size_t base_index, size_t index) const {
    const std::optional<Digest> base = base_.KnownDigest(base_index);
    return base && base == fine_.KnownDigest(index);
  }

  static Result<void> CheckShape(const TensorInfo& base, const TensorInfo& fine) {
    const bool grown = IsVocabularyTensor(fine) && base.shape.size() == 2 &&
                       base.shape[1] == fine.shape[1] && base.shape[0] < fine.shape[0];
    if (base.shape == fine.shape || grown) return {};
    return Fail(Errc::kUnusable, "architecture_mismatch",
                "tensor '" + Printable(fine.name) + "' is " + fine.Describe() + ", the base has " +
                    base.Describe());
  }

  // A linear weight or an embedding that the base has too.
  Result<Encoded> Matrix(const EncodeInput& input, const TensorInfo& base_info,
                         std::shared_ptr<const ByteSource> base_bytes) {
    const bool embedding = ClassifyTensor(input.info) == TensorClass::kEmbedding;
    const uint64_t rows = std::min(base_info.shape[0], input.info.shape[0]);
    const RowPairs pairs({std::move(base_bytes), *ElementOf(base_info.dtype)},
                         {input.fine, *ElementOf(input.info.dtype)}, rows, input.info.shape[1]);
    progress_.ExpectPasses(3);
    SIGNUM_ASSIGN(const Survey survey, SurveyRows(context_, pairs));
    const bool grown = input.info.shape[0] > rows;
    if (survey.identical && !grown) return Encoded{Codec::kSame, 0};
    if (!survey.fit_for_signs) return EncodeRaw(context_, input);
    if (!embedding) return Linear(input, pairs, survey);
    if (survey.changed_rows.empty() && !grown) return EncodeRaw(context_, input);
    if (grown && !options_.allow_not_finite) SIGNUM_TRY(CheckGrown(input, rows));
    return EncodeRows(context_, input, pairs, survey);
  }

  Result<Encoded> Linear(const EncodeInput& input, const RowPairs& pairs, const Survey& survey) {
    if (options_.codec == Codec::kRaw) return EncodeRaw(context_, input);
    const bool sparse =
        options_.codec == Codec::kSign1Sparse || IsSparse(survey, input.info.elements());
    return EncodeLinear(context_, input, pairs, survey, sparse);
  }

  static Result<void> CheckGrown(const EncodeInput& input, uint64_t base_rows) {
    TensorInfo info = input.info;
    info.shape[0] -= base_rows;
    const uint64_t before = input.info.bytes() - info.bytes();
    return CheckFinite(info, SliceSource(input.fine, before, info.bytes()), "the fine-tune");
  }

  const CheckpointSource& base_;
  const CheckpointSource& fine_;
  const CompressOptions& options_;
  DeltaWriter& writer_;
  JobProgress progress_;
  EncodeContext context_;
};

Result<void> CheckOptions(const CompressOptions& options) {
  if (options.device.starts_with("cuda")) {
    return Fail(Errc::kUnavailable, "no_cuda",
                "device '" + Printable(options.device) +
                    "': this build has no CUDA module for compression; use cpu");
  }
  if (options.device != "auto" && options.device != "cpu") {
    return Fail(Errc::kInvalid, "bad_device", "no device '" + Printable(options.device) + "'");
  }
  if (options.codec == Codec::kSign1 || options.codec == Codec::kSign1Sparse ||
      options.codec == Codec::kRaw) {
    return {};
  }
  return Fail(Errc::kInvalid, "bad_codec",
              "linear weights can't be stored as " + std::string(CodecName(options.codec)));
}

// Refuses names that would mean two things in the delta file.
Result<void> CheckNames(const CheckpointSource& fine) {
  for (const TensorInfo& info : fine.tensors()) {
    if (info.name.starts_with(kReservedPrefix)) {
      return Fail(Errc::kUnusable, "name_collision",
                  "tensor '" + Printable(info.name) + "': names that begin with signum. are taken");
    }
    if (ClassifyTensor(info) == TensorClass::kExact) continue;
    for (const std::string& part :
         {SignName(info.name), MaskName(info.name), RowsName(info.name), ValuesName(info.name),
          ScaleName(info.name), RowScaleName(info.name), ColScaleName(info.name)}) {
      if (!fine.Find(part)) continue;
      return Fail(Errc::kUnusable, "name_collision",
                  "tensor '" + Printable(part) + "' is named like a part of '" +
                      Printable(info.name) + "'");
    }
  }
  return {};
}

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
  Compressor compressor(base, fine, options, callback, *writer);
  SIGNUM_TRY(compressor.Files(recipe, blobs));
  SIGNUM_TRY(compressor.Tensors(summary));
  SIGNUM_ASSIGN(summary.sealed, writer->Finish(HeaderOf(base_digest, options, summary)));
  return summary;
}

}  // namespace signum
