#include "gpu/model/tensor_bytes.h"

#include <functional>

#include "gpu/ops/delta_ops.h"

namespace signum {
namespace {

// Where the image has the bytes of a view; null where it has not.
const std::byte* PlaceIn(const DeviceImage& image, ConstBytes view) {
  const std::less_equal<const std::byte*> not_after;
  const bool inside = !view.empty() && not_after(image.host.data(), view.data()) &&
                      not_after(view.data() + view.size(), image.host.data() + image.host.size());
  return inside ? image.device.data + (view.data() - image.host.data()) : nullptr;
}

}  // namespace

Result<DeviceBytes> LoadBytes(ops::Backend& backend, std::shared_ptr<const ByteSource> source,
                              uint64_t offset, uint64_t size, const DeviceImage* image) {
  SIGNUM_TRY(CheckRange(offset, size, source->size()));
  const ConstBytes view = source->View();
  if (backend.host_memory() && !view.empty()) {
    return DeviceBytes{view.data() + offset, std::move(source)};
  }
  if (image != nullptr) {
    const std::byte* there = PlaceIn(*image, view);
    if (there != nullptr) return DeviceBytes{there + offset, image->device.owner};
  }
  auto buffer = std::make_shared<ops::Buffer<std::byte>>(backend, size);
  if (!*buffer) {
    return Fail(Errc::kExhausted, "device_memory",
                backend.name() + " has no room for " + std::to_string(size) + " bytes");
  }
  Result<void> read;
  const auto fill = [&](size_t at, void* to, size_t bytes) {
    read = source->Read(offset + at, {static_cast<std::byte*>(to), bytes});
    return read.has_value();
  };
  ops::DeltaOpsOf(backend).StageUpload(buffer->data(), size, fill);
  SIGNUM_TRY(read);
  return DeviceBytes{buffer->data(), buffer, BufferBytes(*buffer)};
}

}  // namespace signum
