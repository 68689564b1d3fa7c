#include "storage/format/pickle.h"

#include <algorithm>
#include <array>

namespace signum {

namespace {

constexpr std::array<std::string_view, 6> kExtensions{".bin",  ".pt",  ".pth",
                                                      ".ckpt", ".pkl", ".pickle"};
constexpr size_t kTarMagicAt = 257;  // "ustar"; torch.save before 0.2 wrote tar

// Protocols 0 and 1 have no magic: the first operation puts something on the stack, the last is
// STOP.
bool LooksLikeOldPickle(ConstBytes first, std::byte last) {
  static constexpr std::string_view kOpening = "(c]}).ILFSVNKMJGUXT";
  return !first.empty() && last == std::byte{'.'} &&
         kOpening.find(static_cast<char>(first[0])) != std::string_view::npos;
}

}  // namespace

bool BeginsLikePickle(ConstBytes first) {
  const std::string_view text = AsText(first);
  if (text.starts_with("PK\x03\x04") || text.starts_with("PK\x05\x06")) return true;
  return text.size() >= 2 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5;
}

Result<bool> IsPickleFile(std::string_view path, const ByteSource& bytes) {
  const bool named = std::any_of(kExtensions.begin(), kExtensions.end(),
                                 [&](std::string_view e) { return path.ends_with(e); });
  if (!named || bytes.size() == 0) return false;
  std::array<std::byte, kTarMagicAt + 5> first{};
  const MutableBytes have =
      MutableBytes(first).first(std::min<uint64_t>(bytes.size(), first.size()));
  SIGNUM_TRY(bytes.Read(0, have));
  std::byte last{};
  SIGNUM_TRY(bytes.Read(bytes.size() - 1, {&last, 1}));
  return BeginsLikePickle(have) || LooksLikeOldPickle(have, last) ||
         AsText(ConstBytes(first).subspan(kTarMagicAt)) == "ustar";
}

}  // namespace signum
