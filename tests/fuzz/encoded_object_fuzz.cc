// An encoded object: whatever the bytes say, opening and reading them is bounded, and the same
// bytes come out of every way of reading them. The first byte says whether there is a base (bit 0),
// or that the rest is a single block (bit 1), whose bytes no checksum protects here, of the layout
// in bits 2 to 4.

#include "storage/format/encoded_object.h"
#include "tests/fuzz/fuzz_input.h"

namespace signum {
namespace {

std::shared_ptr<const ByteSource> FuzzBase() {
  std::string base(3000, '\0');
  for (size_t i = 0; i < base.size(); ++i) base[i] = static_cast<char>(i * i / 7);
  return FuzzSource(base);
}

void ReadSome(const EncodedObject& object) {
  constexpr uint64_t kMost = 600'000;  // over two blocks
  std::string whole(std::min(object.size(), kMost), '\0');
  const auto bytes = [&](size_t at, size_t size) {
    return MutableBytes(reinterpret_cast<std::byte*>(whole.data()) + at, size);
  };
  const bool readable = object.Read(0, bytes(0, whole.size())).has_value();
  std::string part(std::min<size_t>(whole.size(), 100), '\0');
  const uint64_t at = whole.size() - part.size();
  const auto read = object.Read(at, {reinterpret_cast<std::byte*>(part.data()), part.size()});
  if (readable) Require(read.has_value() && whole.compare(at, part.size(), part) == 0);
  std::byte last[1];
  if (object.size() > 0) static_cast<void>(object.Read(object.size() - 1, last).has_value());
}

// A block that decodes can be made again from what it gives.
void DecodeBlock(uint8_t how, ConstBytes block, const ByteSource& base) {
  const auto width = static_cast<uint8_t>(1 << (how >> 2 & 3));
  const NumberLayout layout{(how & 16) != 0 ? NumberKind::kFloat : NumberKind::kInteger, width};
  const ConstBytes beside = (how & 1) != 0 ? base.View().first(2400) : ConstBytes();
  BlockCodec codec;
  std::vector<std::byte> raw(2400), again(2400);
  if (codec.Decode(layout, block, beside, raw).has_error()) return;
  const auto encoded = codec.Encode(layout, raw, beside);
  Require(encoded.has_value() && encoded->size() <= raw.size() + raw.size() / 2 + 36);
  Require(codec.Decode(layout, std::vector(encoded->begin(), encoded->end()), beside, again)
              .has_value());
  Require(raw == again);
}

}  // namespace
}  // namespace signum

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace signum;
  if (size == 0) return 0;
  static const auto base = FuzzBase();
  if ((data[0] & 2) != 0) {
    DecodeBlock(data[0], AsBytes(FuzzText(data + 1, size - 1)), *base);
    return 0;
  }
  const auto encoded = FuzzSource(FuzzText(data + 1, size - 1));
  const auto object = EncodedObject::Open(encoded, data[0] % 2 == 1 ? base : nullptr, Digest(),
                                          std::make_shared<BlockCache>(2));
  if (object) ReadSome(**object);
  return 0;
}
