#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/base/file.h"
#include "storage/format/recipe.h"
#include "storage/format/safetensors.h"

// The delta file, version 1: a safetensors file (see FORMAT.md). Beside the codec tensors it
// carries what a rebuild needs and the base lacks:
//   signum.recipe      U8 [n]  the fine-tune's Recipe (canonical JSON)
//   signum.blob.<hex>  U8 [n]  safetensors headers and small files, by SHA-256, unless the base has
//                              the same bytes

namespace signum {

enum class Codec : uint8_t {
  kSame = 0,
  kSign1 = 1,
  kSign1Sparse = 2,
  kRows = 3,
  kRaw = 4,
  kLowrank = 5
};
std::string_view CodecName(Codec codec);  // "sign1-sparse"
std::optional<Codec> CodecFromName(std::string_view name);

enum class ScaleKind : uint8_t { kTensor = 0, kRow = 1, kRowCol = 2 };
std::string_view ScaleKindName(ScaleKind kind);  // "row+col"
std::optional<ScaleKind> ScaleKindFromName(std::string_view name);

inline constexpr uint64_t kDeltaAlignment = 256;    // where data begins, and "aligned" tensors
inline constexpr uint64_t kChunkBytes = 64 * 1024;  // unit of the manifest's chunk digests
inline constexpr int kMaxPlanes = 8;                // of signs, the first included
inline constexpr std::string_view kReservedPrefix = "signum.";
inline constexpr std::string_view kRecipeName = "signum.recipe";
inline constexpr std::string_view kBlobPrefix = "signum.blob.";

// Names of the tensors that hold a weight X of shape [N, K]; parts by codec, Kb = ceil(K / 8):
//   same          none
//   raw           X, dtype and shape of the fine-tune's
//   sign1         X.sign U8 [N, Kb]; scales: X.scale F32 [1], or X.scale.row F32 [N], or that and
//                 X.scale.col F32 [K]
//   sign1-sparse  X.mask U8 [N, Kb] (1 where the weight changed), X.sign U8 [ceil(changed / 8)]
//                 (signs of the changed weights alone, row-major, LSB first), scales as sign1
//   rows          X.rows I32 [R], ascending, R > 0: the rows that differ from the base's and those
//                 it lacks (grown vocabulary). The first S of them are in X.sign U8 [S, Kb] and
//                 X.scale.row F32 [S], the other R - S in X.values [R - S, K] in the fine-tune's
//                 dtype: rows the base lacks, or all (exact embeddings). Parts without rows are
//                 left out.
//   lowrank       X.lora_a float [R, K], X.lora_b float [N, R], X.scale F32 [1] or none (1)
// Planes 1 … 7 of sign1, sign1-sparse and rows hold the signs of what the planes before them leave:
// the same parts as plane 0 but for mask, rows and values, with ".1" … ".7" at the end.
// weight_planes.h finds them.
std::string SignName(std::string_view x, int plane = 0);      // X.sign, X.sign.1
std::string RowScaleName(std::string_view x, int plane = 0);  // X.scale.row, X.scale.row.1
std::string ColScaleName(std::string_view x, int plane = 0);  // X.scale.col, X.scale.col.1
std::string ScaleName(std::string_view x, int plane = 0);     // X.scale, X.scale.1
std::string RowsName(std::string_view x);                     // X.rows
std::string ValuesName(std::string_view x);                   // X.values
std::string MaskName(std::string_view x);                     // X.mask   (sign1-sparse)
std::string LoraAName(std::string_view x);                    // X.lora_a (lowrank)
std::string LoraBName(std::string_view x);                    // X.lora_b (lowrank)
std::string BlobName(const Digest& digest);                   // signum.blob.<hex>

struct DeltaHeader {
  Digest base;                          // digest of the base manifest
  std::string codec;                    // the codec asked for, "sign1"
  std::string scales;                   // the scale kind asked for, "row+col"
  std::map<std::string, Codec> codecs;  // per weight tensor of the fine-tune, every one
};

// The size of the delta file with this header and these tensors.
uint64_t DeltaFileBytes(const DeltaHeader& header, const std::vector<TensorInfo>& tensors);

// Collects tensors in any order, spilling them to a temporary file beside `path`, then writes the
// delta file in its canonical order. Deterministic: the same tensors and header give the same
// bytes. Removes the spill always and the output on failure. Not thread-safe.
class DeltaWriter {
 public:
  static Result<std::unique_ptr<DeltaWriter>> Create(const std::filesystem::path& path);
  ~DeltaWriter();

  // Starts a tensor; bytes follow with Append until the next Begin or Finish.
  Result<void> Begin(TensorInfo info);
  Result<void> Append(ConstBytes bytes);
  // Adds a whole tensor.
  Result<void> Add(TensorInfo info, ConstBytes bytes);
  // A tensor that is complete, to be read again; valid as long as the writer lives.
  // Errc::kNotFound unknown_tensor.
  Result<std::shared_ptr<const ByteSource>> Written(std::string_view name) const;

  struct Sealed {
    uint64_t size = 0;
    Digest digest;
    std::vector<Digest> chunks;  // SHA-256 of every kChunkBytes of the file
  };
  Result<Sealed> Finish(const DeltaHeader& header);  // file complete and synced

 private:
  class Impl;
  explicit DeltaWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// A parsed and checked delta file over any byte source. Thread-safe.
class DeltaReader {
 public:
  // Errc::kUnusable not_a_delta, unsupported_version, unsupported_layout. Errc::kCorrupt: the
  // reasons of ParseSafetensors, bad_metadata, bad_codec, missing_part (say X.sign without
  // X.scale.row), bad_part (shape, dtype, rows that do not ascend), bad_recipe. Reads the header,
  // the recipe and X.rows only.
  static Result<std::shared_ptr<const DeltaReader>> Open(std::shared_ptr<const ByteSource> file,
                                                         std::string_view name);

  const DeltaHeader& header() const { return header_; }
  const Recipe& recipe() const { return recipe_; }
  const std::vector<SafetensorsEntry>& parts() const { return safetensors_.tensors; }
  uint64_t data_begin() const { return safetensors_.header_bytes; }
  const std::shared_ptr<const ByteSource>& file() const { return file_; }

  // The entry of a part by name; nullptr where there is none.
  const SafetensorsEntry* FindPart(std::string_view name) const;
  std::shared_ptr<const ByteSource> OpenPart(const SafetensorsEntry& part) const;
  // A signum.blob.* by digest; Errc::kNotFound where the delta does not carry it.
  Result<std::shared_ptr<const ByteSource>> OpenBlob(const Digest& digest) const;

  // Reads everything that Open takes on trust: blobs match their digests, scales are finite, a
  // sparse weight has as many signs as its mask has bits, bits of padding are 0. Errc::kCorrupt
  // bad_part.
  Result<void> CheckContents() const;

 private:
  DeltaReader() = default;
  Result<void> Load(std::string_view name);
  Result<void> LoadRecipe();

  std::shared_ptr<const ByteSource> file_;
  SafetensorsHeader safetensors_;
  DeltaHeader header_;
  Recipe recipe_;
  std::map<std::string, size_t, std::less<>> by_name_;
};

}  // namespace signum
