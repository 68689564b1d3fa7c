#include "storage/base/byte_source.h"

#include <algorithm>

namespace signum {

Result<void> CheckRange(uint64_t offset, uint64_t length, uint64_t size) {
  if (offset > size || length > size - offset) {
    return Fail(Errc::kInvalid, "out_of_range",
                "bytes " + std::to_string(offset) + "+" + std::to_string(length) +
                    " are outside of " + std::to_string(size));
  }
  return {};
}

Result<HeldBytes> ByteSource::Hold(uint64_t offset, uint64_t most) const {
  SIGNUM_TRY(CheckRange(offset, 1, size()));
  const auto bytes = std::make_shared<std::string>(std::min(most, size() - offset), '\0');
  SIGNUM_TRY(Read(offset, {reinterpret_cast<std::byte*>(bytes->data()), bytes->size()}));
  return HeldBytes{AsBytes(*bytes), bytes};
}

Result<void> MemorySource::Read(uint64_t offset, MutableBytes out) const {
  SIGNUM_TRY(CheckRange(offset, out.size(), bytes_.size()));
  if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
  return {};
}

Result<void> SliceSource::Read(uint64_t offset, MutableBytes out) const {
  SIGNUM_TRY(CheckRange(offset, out.size(), size_));
  return whole_->Read(offset_ + offset, out);
}

ConstBytes SliceSource::View() const {
  const ConstBytes all = whole_->View();
  return all.empty() ? all : all.subspan(offset_, size_);
}

Result<HeldBytes> SliceSource::Hold(uint64_t offset, uint64_t most) const {
  SIGNUM_TRY(CheckRange(offset, 1, size_));
  return whole_->Hold(offset_ + offset, std::min(most, size_ - offset));
}

ConcatSource::ConcatSource(std::vector<std::shared_ptr<const ByteSource>> parts)
    : parts_(std::move(parts)), starts_{0} {
  for (const auto& part : parts_) starts_.push_back(starts_.back() + part->size());
}

Result<void> ConcatSource::Read(uint64_t offset, MutableBytes out) const {
  SIGNUM_TRY(CheckRange(offset, out.size(), size()));
  size_t i = static_cast<size_t>(std::upper_bound(starts_.begin(), starts_.end(), offset) -
                                 starts_.begin()) -
             1;
  while (!out.empty()) {
    const uint64_t within = offset - starts_[i];
    const size_t take = std::min<uint64_t>(out.size(), parts_[i]->size() - within);
    SIGNUM_TRY(parts_[i]->Read(within, out.first(take)));
    out = out.subspan(take);
    offset += take;
    ++i;
  }
  return {};
}

Result<std::string> ReadAll(const ByteSource& source, uint64_t limit) {
  if (source.size() > limit) {
    return Fail(
        Errc::kTooLarge, "too_large",
        std::to_string(source.size()) + " bytes are over the limit of " + std::to_string(limit));
  }
  std::string out(source.size(), '\0');
  SIGNUM_TRY(source.Read(0, {reinterpret_cast<std::byte*>(out.data()), out.size()}));
  return out;
}

}  // namespace signum
