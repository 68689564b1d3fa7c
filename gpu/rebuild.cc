#include "gpu/rebuild.h"

#include <map>
#include <vector>

#include "gpu/rebuilt_matrix.h"
#include "gpu/tensor_class.h"
#include "storage/base/name.h"
#include "storage/format/safetensors.h"

namespace signum {
namespace {

// A safetensors file of which only the header is at hand, for the parser.
class HeaderOnly final : public ByteSource {
 public:
  HeaderOnly(std::shared_ptr<const ByteSource> header, uint64_t file_size)
      : header_(std::move(header)), size_(file_size) {}
  uint64_t size() const override { return size_; }
  Result<void> Read(uint64_t offset, MutableBytes out) const override {
    return header_->Read(offset, out);
  }

 private:
  std::shared_ptr<const ByteSource> header_;
  uint64_t size_;
};

class RebuilderImpl final : public Rebuilder {
 public:
  RebuilderImpl(std::shared_ptr<const CheckpointSource> base,
                std::shared_ptr<const BaseBlobs> base_blobs,
                std::shared_ptr<const DeltaReader> delta)
      : base_(std::move(base)), base_blobs_(std::move(base_blobs)), delta_(std::move(delta)) {}

  // Reads the headers of the safetensors files.
  Result<void> Load() {
    for (const RecipeFile& file : delta_->recipe().files) {
      if (!file.safetensors) continue;
      SIGNUM_ASSIGN(Shard shard, LoadShard(file));
      for (const SafetensorsEntry& entry : shard.header.tensors) {
        infos_.emplace(entry.info.name, entry.info);
      }
      shards_.emplace(file.path, std::move(shard));
    }
    return {};
  }

  Result<std::shared_ptr<const ByteSource>> OpenFile(std::string_view path) const override {
    const RecipeFile* file = delta_->recipe().Find(path);
    if (file == nullptr) {
      return Fail(Errc::kNotFound, "unknown_file", "no file '" + Printable(path) + "'");
    }
    if (!file->safetensors) return OpenBlob(file->digest, file->size, file->path);
    const Shard& shard = shards_.find(path)->second;
    std::vector<std::shared_ptr<const ByteSource>> parts{shard.header_bytes};
    for (const SafetensorsEntry& entry : shard.header.tensors) {
      SIGNUM_ASSIGN(auto tensor, OpenTensor(entry.info.name));
      parts.push_back(std::move(tensor));
    }
    return std::make_shared<ConcatSource>(std::move(parts));
  }

  Result<std::shared_ptr<const ByteSource>> OpenTensor(std::string_view name) const override {
    const auto at = infos_.find(name);
    if (at == infos_.end()) {
      return Fail(Errc::kNotFound, "unknown_tensor", "no tensor '" + Printable(name) + "'");
    }
    const TensorInfo& info = at->second;
    const auto codec = delta_->header().codecs.find(info.name);
    SIGNUM_TRY(CheckPart(codec != delta_->header().codecs.end(), info, "a codec"));
    SIGNUM_ASSIGN(auto bytes, OpenByCodec(codec->second, info));
    SIGNUM_TRY(CheckPart(bytes->size() == info.bytes(), info, "the size of what is stored"));
    return bytes;
  }

 private:
  struct Shard {
    std::shared_ptr<const ByteSource> header_bytes;
    SafetensorsHeader header;
  };

  Result<Shard> LoadShard(const RecipeFile& file) const {
    SIGNUM_ASSIGN(auto bytes, OpenBlob(file.header, file.header_size, file.path));
    const HeaderOnly whole(bytes, file.size);
    Result<SafetensorsHeader> header = ParseSafetensors(whole, file.path);
    if (!header) return Fail(Errc::kCorrupt, header.error().reason, header.error().message);
    if (header->header_bytes == file.header_size)
      return Shard{std::move(bytes), *std::move(header)};
    return Fail(Errc::kCorrupt, "bad_recipe",
                "file '" + Printable(file.path) + "': its header has another length");
  }

  // A header or small file: from the delta, else from the base.
  Result<std::shared_ptr<const ByteSource>> OpenBlob(const Digest& digest, uint64_t size,
                                                     const std::string& path) const {
    auto blob = delta_->OpenBlob(digest);
    if (!blob && blob.error().code == Errc::kNotFound) blob = base_blobs_->OpenBlob(digest);
    if (!blob || (*blob)->size() == size) return blob;
    return Fail(Errc::kCorrupt, "bad_recipe",
                "file '" + Printable(path) + "': " + digest.Text() + " is " +
                    std::to_string((*blob)->size()) + " bytes, not " + std::to_string(size));
  }

  Result<std::shared_ptr<const ByteSource>> OpenByCodec(Codec codec, const TensorInfo& info) const {
    if (codec == Codec::kRaw) {
      const SafetensorsEntry* part = delta_->FindPart(info.name);
      SIGNUM_TRY(CheckPart(part != nullptr && part->info == info, info, "what is stored"));
      return delta_->OpenPart(*part);
    }
    const std::optional<size_t> at = base_->Find(info.name);
    SIGNUM_TRY(CheckPart(at.has_value(), info, "the base, which lacks it,"));
    const TensorInfo& base = base_->tensors()[*at];
    SIGNUM_ASSIGN(auto bytes, base_->Open(*at));
    if (codec == Codec::kSame) {
      SIGNUM_TRY(CheckPart(base == info, info, "the base's tensor"));
      return bytes;
    }
    const auto type = ElementOf(base.dtype);
    SIGNUM_TRY(CheckPart(type && ElementOf(info.dtype) && info.shape.size() == 2 &&
                             base.shape.size() == 2 && base.shape[1] == info.shape[1],
                         info, "the base's tensor"));
    return OpenMatrix(codec, info, {std::move(bytes), *type, base.shape[0]});
  }

  Result<std::shared_ptr<const ByteSource>> OpenMatrix(Codec codec, const TensorInfo& info,
                                                       BaseMatrix base) const {
    switch (codec) {
      case Codec::kSign1:
        return OpenSign1(*delta_, info, std::move(base));
      case Codec::kSign1Sparse:
        return OpenSparse(*delta_, info, std::move(base));
      case Codec::kRows:
        return OpenRows(*delta_, info, std::move(base));
      case Codec::kLowrank:
        return OpenLowrank(*delta_, info, std::move(base));
      default:
        return Fail(Errc::kCorrupt, "bad_codec",
                    "weight '" + Printable(info.name) + "': this version can't rebuild codec " +
                        std::string(CodecName(codec)));
    }
  }

  std::shared_ptr<const CheckpointSource> base_;
  std::shared_ptr<const BaseBlobs> base_blobs_;
  std::shared_ptr<const DeltaReader> delta_;
  std::map<std::string, TensorInfo, std::less<>> infos_;
  std::map<std::string, Shard, std::less<>> shards_;  // by path
};

}  // namespace

Result<std::shared_ptr<const Rebuilder>> Rebuilder::Create(
    std::shared_ptr<const CheckpointSource> base, const Digest& base_digest,
    std::shared_ptr<const BaseBlobs> base_blobs, std::shared_ptr<const DeltaReader> delta) {
  if (delta->header().base != base_digest) {
    return Fail(Errc::kCorrupt, "base_mismatch",
                "the delta is made against base " + delta->header().base.Text() + ", not " +
                    base_digest.Text());
  }
  auto rebuilder =
      std::make_shared<RebuilderImpl>(std::move(base), std::move(base_blobs), std::move(delta));
  SIGNUM_TRY(rebuilder->Load());
  return rebuilder;
}

}  // namespace signum
