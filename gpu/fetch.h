#pragma once

#include <vector>

#include "storage/base/byte_source.h"

namespace signum {

// `size` bytes of a source from `offset` on: in place where it is mapped, else read into `buffer`.
// Valid as long as both; Errc::kInvalid past the end.
inline Result<const std::byte*> Fetch(const ByteSource& source, uint64_t offset, uint64_t size,
                                      std::vector<std::byte>& buffer) {
  SIGNUM_TRY(CheckRange(offset, size, source.size()));
  const ConstBytes view = source.View();
  if (!view.empty()) return view.data() + offset;
  buffer.resize(size);
  SIGNUM_TRY(source.Read(offset, buffer));
  return static_cast<const std::byte*>(buffer.data());
}

}  // namespace signum
