// A safetensors file: the input as it is, and the input as a header before 64 bytes of data. What
// is accepted must cover the data exactly, and its header must read back the same when written
// anew.

#include "storage/format/safetensors.h"
#include "tests/fuzz/fuzz_input.h"

namespace signum {
namespace {

void CheckAccepted(const SafetensorsHeader& header, const std::shared_ptr<const ByteSource>& file) {
  uint64_t at = 0;
  for (const SafetensorsEntry& entry : header.tensors) {
    Require(entry.begin == at && entry.end - entry.begin == entry.info.bytes());
    at = entry.end;
    const SliceSource data(file, header.header_bytes + entry.begin, entry.end - entry.begin);
    (void)CheckFinite(entry.info, data, "fuzz");
  }
  Require(at == header.data_bytes && header.header_bytes + at == file->size());
}

void Run(const std::shared_ptr<const ByteSource>& file) {
  const auto parsed = ParseSafetensors(*file, "fuzz");
  if (!parsed) return;
  CheckAccepted(*parsed, file);
  std::vector<SafetensorsEntry> tensors = parsed->tensors;
  std::string again = BuildSafetensorsHeader(tensors, parsed->metadata, 8);
  again.append(parsed->data_bytes, '\0');
  const auto reread = ParseSafetensors(MemorySource(std::move(again)), "fuzz");
  Require(reread && reread->metadata == parsed->metadata &&
          reread->tensors.size() == parsed->tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    Require(reread->tensors[i].info == parsed->tensors[i].info);
  }
}

}  // namespace
}  // namespace signum

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = signum::FuzzText(data, size);
  signum::Run(signum::FuzzSource(text));
  std::string framed(8, '\0');
  signum::StoreLe<uint64_t>(framed.data(), size);
  framed.append(text).append(64, '\x7f');
  signum::Run(signum::FuzzSource(framed));
  return 0;
}
