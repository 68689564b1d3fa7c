#include "storage/base/name.h"

#include <algorithm>
#include <string>

#include "storage/base/bytes.h"

namespace signum {

namespace {

bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool IsNameChar(char c) { return IsNameStart(c) || c == '.' || c == '_' || c == '-'; }

// Bytes of the sequence that `lead` begins, 0 where nothing begins so.
size_t SequenceLength(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  if (lead >= 0xf0 && lead <= 0xf4) return 4;
  return 0;
}

// What the second byte after `lead` may be: narrower than 80..BF where that would be an overlong
// form, a surrogate or past U+10FFFF.
bool SecondByteFits(unsigned char lead, unsigned char second) {
  const unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  return second >= low && second <= high;
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string out(text.substr(0, 80));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return out;
}

bool IsUtf8(std::string_view text) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  size_t i = 0;
  while (i < text.size()) {
    const size_t length = SequenceLength(bytes[i]);
    if (length == 0 || length > text.size() - i) return false;
    if (length > 1 && !SecondByteFits(bytes[i], bytes[i + 1])) return false;
    for (size_t k = 2; k < length; ++k) {
      if ((bytes[i + k] & 0xc0) != 0x80) return false;
    }
    i += length;
  }
  return true;
}

Result<void> CheckName(std::string_view what, std::string_view name) {
  const bool valid = !name.empty() && name.size() <= 63 && IsNameStart(name.front()) &&
                     std::all_of(name.begin(), name.end(), IsNameChar);
  if (valid) return {};
  return Fail(Errc::kInvalid, "bad_name",
              std::string(what) + " '" + Printable(name) +
                  "' must be 1 to 63 of a-z 0-9 . _ - and begin with a letter or digit");
}

Result<void> CheckFilePath(std::string_view path) {
  const auto fail = [&](std::string_view why) {
    return Fail(Errc::kInvalid, "bad_path", "path '" + Printable(path) + "' " + std::string(why));
  };
  if (path.empty() || path.size() > 255) return fail("must be 1 to 255 bytes");
  if (!IsUtf8(path)) return fail("is not UTF-8");
  for (unsigned char c : path) {
    if (c < 0x20 || c == 0x7f || c == '\\') return fail("has a control character or backslash");
  }
  size_t start = 0;
  while (start <= path.size()) {
    const size_t end = std::min(path.find('/', start), path.size());
    const std::string_view part = path.substr(start, end - start);
    if (part.empty() || part == "." || part == "..") {
      return fail("has an empty, '.' or '..' component");
    }
    start = end + 1;
  }
  return {};
}

}  // namespace signum
