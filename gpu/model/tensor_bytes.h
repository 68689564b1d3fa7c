#pragma once

#include <algorithm>
#include <memory>

#include "gpu/ops/backend.h"
#include "storage/base/byte_source.h"

namespace signum {

// Bytes where a backend can read them, and what keeps them there.
struct DeviceBytes {
  const std::byte* data = nullptr;
  std::shared_ptr<const void> owner;
  uint64_t allocated = 0;  // for these bytes alone
};

// What a buffer takes of its backend's memory.
template <class T>
uint64_t BufferBytes(const ops::Buffer<T>& buffer) {
  return buffer ? std::max(buffer.size(), size_t{1}) * sizeof(T) : 0;
}

// The same bytes in the host's memory and in a backend's, so that what is a view of the one need
// not be copied to the other.
struct DeviceImage {
  ConstBytes host;
  DeviceBytes device;
};

// `size` bytes of a source from `offset` on: in place where the source is mapped and the backend's
// memory is the host's, or the source is a part of `image`; else a copy in the backend's memory
// (Errc::kExhausted device_memory).
Result<DeviceBytes> LoadBytes(ops::Backend& backend, std::shared_ptr<const ByteSource> source,
                              uint64_t offset, uint64_t size, const DeviceImage* image = nullptr);

// Host values copied to the backend's memory.
template <class T>
Result<DeviceBytes> UploadValues(ops::Backend& backend, const std::vector<T>& values) {
  auto buffer = std::make_shared<ops::Buffer<std::byte>>(backend, values.size() * sizeof(T));
  if (!*buffer) {
    return Fail(Errc::kExhausted, "device_memory", backend.name() + " has no room");
  }
  backend.Upload(values.data(), buffer->data(), values.size() * sizeof(T));
  return DeviceBytes{buffer->data(), buffer, BufferBytes(*buffer)};
}

}  // namespace signum
