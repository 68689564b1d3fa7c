#include "client/node/serve/jinja/text.h"

#include <algorithm>

namespace signum::client::jinja {

Text::Text(std::string bytes, bool tainted) : bytes_(std::move(bytes)) {
  if (tainted) Taint(0, bytes_.size());
}

void Text::Taint(size_t begin, size_t end) {
  if (begin == end) return;
  if (!tainted_.empty() && tainted_.back().end == begin) {
    tainted_.back().end = end;
  } else {
    tainted_.push_back({begin, end});
  }
}

void Text::Append(std::string_view bytes, bool tainted) {
  bytes_ += bytes;
  if (tainted) Taint(bytes_.size() - bytes.size(), bytes_.size());
}

void Text::Append(const Text& other, size_t begin, size_t end) {
  const size_t at = bytes_.size();
  bytes_.append(other.bytes_, begin, end - begin);
  auto range = std::ranges::upper_bound(other.tainted_, begin, {}, &Range::end);
  for (; range != other.tainted_.end() && range->begin < end; ++range) {
    Taint(at + std::max(range->begin, begin) - begin, at + std::min(range->end, end) - begin);
  }
}

Text Text::Part(size_t begin, size_t end) const {
  Text out;
  out.Append(*this, begin, end);
  return out;
}

}  // namespace signum::client::jinja
