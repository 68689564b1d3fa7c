#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "storage/format/tensor.h"

// The safetensors container (https://github.com/huggingface/safetensors, format section): 8 bytes
// little-endian header length N, N bytes of JSON, data. Nothing of a file is trusted.

namespace signum {

struct SafetensorsEntry {
  TensorInfo info;
  uint64_t begin = 0;  // offsets within the data section
  uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> tensors;  // in data order: by (begin, end, name)
  std::map<std::string, std::string> metadata;
  uint64_t header_bytes = 0;  // 8 + N: where the data begins
  uint64_t data_bytes = 0;
};

inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;

// Parses and checks the header of a file of source.size() bytes. `file` is the name used in
// messages. Errors are Errc::kUnusable with a reason: header_truncated, header_too_long,
// header_not_json, pickle_file (the bytes begin like a zip or pickle), duplicate_tensor,
// unknown_dtype, bad_shape, shape_overflow, size_mismatch, offsets_overlap, offsets_hole,
// offsets_out_of_range, bad_metadata.
Result<SafetensorsHeader> ParseSafetensors(const ByteSource& source, std::string_view file);

// Serialized header (length prefix and JSON padded with spaces) for tensors laid out in the order
// given, without gaps, so that data begins on a multiple of `alignment`. Fills begin and end.
std::string BuildSafetensorsHeader(std::vector<SafetensorsEntry>& tensors,
                                   const std::map<std::string, std::string>& metadata,
                                   uint64_t alignment);

// Element-wise search for NaN or infinity in float data (F64, F32, F16, BF16, F8); other dtypes
// pass. Errc::kUnusable "not_finite" naming file, tensor and byte offset. Reads at memory speed, 1
// MiB at a time where there is no View().
Result<void> CheckFinite(const TensorInfo& info, const ByteSource& data, std::string_view file);

}  // namespace signum
