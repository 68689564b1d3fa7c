#include "gpu/distill/rewrite_delta.h"

#include <vector>

#include "gpu/fetch.h"
#include "storage/base/name.h"

namespace signum {
namespace {

constexpr uint64_t kPiece = uint64_t{4} << 20;

Result<void> CopyPart(const ByteSource& part, DeltaWriter& writer) {
  std::vector<std::byte> buffer;
  for (uint64_t at = 0; at < part.size(); at += kPiece) {
    const uint64_t n = std::min(kPiece, part.size() - at);
    SIGNUM_ASSIGN(const std::byte* bytes, Fetch(part, at, n, buffer));
    SIGNUM_TRY(writer.Append({bytes, n}));
  }
  return {};
}

}  // namespace

Result<DeltaWriter::Sealed> RewriteDelta(const DeltaReader& delta,
                                         const std::map<std::string, std::string>& parts,
                                         const std::filesystem::path& output) {
  for (const auto& [name, bytes] : parts) {
    const SafetensorsEntry* part = delta.FindPart(name);
    if (part != nullptr && part->info.bytes() == bytes.size()) continue;
    return Fail(Errc::kInvalid, "bad_part",
                "the delta has no part '" + Printable(name) + "' of " +
                    std::to_string(bytes.size()) + " bytes");
  }
  SIGNUM_ASSIGN(const auto writer, DeltaWriter::Create(output));
  for (const SafetensorsEntry& part : delta.parts()) {
    SIGNUM_TRY(writer->Begin(part.info));
    const auto replaced = parts.find(part.info.name);
    if (replaced != parts.end()) {
      SIGNUM_TRY(writer->Append(AsBytes(replaced->second)));
    } else {
      SIGNUM_TRY(CopyPart(*delta.OpenPart(part), *writer));
    }
  }
  return writer->Finish(delta.header());
}

}  // namespace signum
