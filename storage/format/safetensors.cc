#include "storage/format/safetensors.h"

#include <algorithm>
#include <numeric>
#include <tuple>

#include "storage/base/name.h"
#include "storage/format/json_text.h"
#include "storage/format/pickle.h"
#include "storage/format/safetensors_sax.h"

namespace signum {

namespace {

constexpr uint64_t kMaxExactInteger = uint64_t{1} << 53;  // what JSON and our manifests can hold

// Collects what every message needs.
struct Context {
  std::string_view file;

  Error Refuse(std::string_view reason, const std::string& why) const {
    return Fail(Errc::kUnusable, reason, "file '" + Printable(file) + "': " + why);
  }
  Error Refuse(std::string_view reason, const TensorInfo& tensor, const std::string& why) const {
    return Refuse(reason, "tensor '" + Printable(tensor.name) + "' " + why);
  }
};

// The JSON text: a view of the source's own memory, or of `buffer` where it has none.
Result<std::string_view> ReadHeaderText(const ByteSource& source, const Context& context,
                                        std::string* buffer) {
  std::array<std::byte, 9> first{};
  const uint64_t size = source.size();
  const size_t have = std::min<uint64_t>(size, first.size());
  SIGNUM_TRY(source.Read(0, MutableBytes(first).first(have)));
  const uint64_t length = LoadLe<uint64_t>(first.data());
  const bool plausible =
      have == first.size() && length <= kMaxSafetensorsHeader && first[8] == std::byte{'{'};
  if (!plausible && BeginsLikePickle(ConstBytes(first).first(have))) {
    return context.Refuse("pickle_file", "is a pickle or zip archive, not safetensors");
  }
  if (size < 8) return context.Refuse("header_truncated", "has no 8-byte header length");
  if (length > kMaxSafetensorsHeader) {
    return context.Refuse("header_too_long", "its header of " + std::to_string(length) +
                                                 " bytes is over the limit of 100 MB");
  }
  if (length > size - 8) {
    return context.Refuse("header_truncated", "its header of " + std::to_string(length) +
                                                  " bytes ends past the file's " +
                                                  std::to_string(size));
  }
  if (length == 0 || first[8] != std::byte{'{'}) {
    return context.Refuse("header_not_json", "the header does not begin with '{' (byte 8)");
  }
  if (!source.View().empty()) return AsText(source.View().subspan(8, length));
  buffer->resize(length);
  SIGNUM_TRY(source.Read(8, {reinterpret_cast<std::byte*>(buffer->data()), length}));
  return std::string_view(*buffer);
}

// Checks shape x dtype, the offsets' order and the match of the two.
Result<void> CheckEntry(const SafetensorsEntry& entry, const Context& context) {
  const TensorInfo& info = entry.info;
  uint64_t product = DtypeSize(info.dtype);  // of what is not 0: order of dimensions is no excuse
  for (uint64_t dimension : info.shape) {
    if (dimension > kMaxExactInteger ||
        (dimension > 0 && __builtin_mul_overflow(product, dimension, &product)) ||
        product > uint64_t{1} << 63) {
      return context.Refuse("shape_overflow", info, "shape " + info.Describe() + " overflows");
    }
  }
  if (entry.begin > entry.end) {
    return context.Refuse("offsets_out_of_range", info,
                          "ends before it begins, at byte " + std::to_string(entry.begin));
  }
  if (entry.end - entry.begin != info.bytes()) {
    return context.Refuse("size_mismatch", info,
                          "of " + info.Describe() + " takes " + std::to_string(info.bytes()) +
                              " bytes, its offsets span " +
                              std::to_string(entry.end - entry.begin));
  }
  return {};
}

// Checks that the entries, in data order, cover the data section exactly once.
Result<void> CheckCover(const SafetensorsHeader& header, const Context& context) {
  uint64_t at = 0;
  for (const SafetensorsEntry& entry : header.tensors) {
    const std::string where = "at byte " + std::to_string(entry.begin) + " of the data";
    if (entry.end > header.data_bytes) {
      return context.Refuse("offsets_out_of_range", entry.info,
                            "ends at byte " + std::to_string(entry.end) +
                                " of the data, which has " + std::to_string(header.data_bytes));
    }
    if (entry.begin < at) {
      return context.Refuse("offsets_overlap", entry.info,
                            where + " overlaps another, which ends at " + std::to_string(at));
    }
    if (entry.begin > at) {
      return context.Refuse("offsets_hole", entry.info,
                            where + " leaves a hole from " + std::to_string(at));
    }
    at = entry.end;
  }
  if (at != header.data_bytes) {
    return context.Refuse("offsets_hole", "no tensor holds the data from byte " +
                                              std::to_string(at) + " to " +
                                              std::to_string(header.data_bytes));
  }
  return {};
}

void AppendEntry(std::string* out, const SafetensorsEntry& entry) {
  AppendJsonString(out, entry.info.name);
  out->append(":{\"dtype\":\"").append(DtypeName(entry.info.dtype)).append("\",\"shape\":[");
  for (size_t i = 0; i < entry.info.shape.size(); ++i) {
    if (i > 0) out->push_back(',');
    out->append(std::to_string(entry.info.shape[i]));
  }
  out->append("],\"data_offsets\":[").append(std::to_string(entry.begin));
  out->append(",").append(std::to_string(entry.end)).append("]}");
}

void AppendMetadata(std::string* out, const std::map<std::string, std::string>& metadata) {
  out->append("\"__metadata__\":{");
  for (auto it = metadata.begin(); it != metadata.end(); ++it) {
    if (it != metadata.begin()) out->push_back(',');
    AppendJsonString(out, it->first);
    out->push_back(':');
    AppendJsonString(out, it->second);
  }
  out->push_back('}');
}

}  // namespace

Result<SafetensorsHeader> ParseSafetensors(const ByteSource& source, std::string_view file) {
  const Context context{file};
  std::string buffer;
  SIGNUM_ASSIGN(const std::string_view text, ReadHeaderText(source, context, &buffer));
  SafetensorsSax sax;
  if (!nlohmann::json::sax_parse(text.data(), text.data() + text.size(), &sax)) {
    return context.Refuse(sax.reason, sax.why);
  }
  SafetensorsHeader header;
  header.metadata = std::move(sax.metadata);
  header.tensors = std::move(sax.tensors);
  header.header_bytes = 8 + text.size();
  header.data_bytes = source.size() - header.header_bytes;
  for (const SafetensorsEntry& entry : header.tensors) SIGNUM_TRY(CheckEntry(entry, context));
  std::sort(header.tensors.begin(), header.tensors.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end, a.info.name) < std::tie(b.begin, b.end, b.info.name);
  });
  SIGNUM_TRY(CheckCover(header, context));
  return header;
}

std::string BuildSafetensorsHeader(std::vector<SafetensorsEntry>& tensors,
                                   const std::map<std::string, std::string>& metadata,
                                   uint64_t alignment) {
  std::string out(8, '\0');
  out.push_back('{');
  if (!metadata.empty()) AppendMetadata(&out, metadata);
  uint64_t at = 0;
  for (SafetensorsEntry& entry : tensors) {
    entry.begin = at;
    at = entry.end = at + entry.info.bytes();
    if (out.back() != '{') out.push_back(',');
    AppendEntry(&out, entry);
  }
  out.push_back('}');
  out.resize((out.size() + alignment - 1) / alignment * alignment, ' ');
  StoreLe<uint64_t>(out.data(), out.size() - 8);
  return out;
}

}  // namespace signum
