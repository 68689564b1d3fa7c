#include "gpu/model/tensor_bytes.h"

#include <algorithm>
#include <vector>

#include "gpu/fetch.h"

namespace signum {
namespace {

constexpr uint64_t kPiece = uint64_t{16} << 20;

}  // namespace

Result<DeviceBytes> LoadBytes(ops::Backend& backend, std::shared_ptr<const ByteSource> source,
                              uint64_t offset, uint64_t size) {
  SIGNUM_TRY(CheckRange(offset, size, source->size()));
  const ConstBytes view = source->View();
  if (backend.host_memory() && !view.empty()) {
    return DeviceBytes{view.data() + offset, std::move(source)};
  }
  auto buffer = std::make_shared<ops::Buffer<std::byte>>(backend, size);
  if (!*buffer) {
    return Fail(Errc::kExhausted, "device_memory",
                backend.name() + " has no room for " + std::to_string(size) + " bytes");
  }
  std::vector<std::byte> piece;
  for (uint64_t done = 0; done < size; done += kPiece) {
    const uint64_t n = std::min(kPiece, size - done);
    SIGNUM_ASSIGN(const std::byte* bytes, Fetch(*source, offset + done, n, piece));
    backend.Upload(bytes, buffer->data() + done, n);
  }
  return DeviceBytes{buffer->data(), buffer};
}

}  // namespace signum
