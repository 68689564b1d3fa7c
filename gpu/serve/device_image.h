#pragma once

#include <memory>
#include <span>

#include "gpu/model/tensor_bytes.h"
#include "gpu/ops/serve_ops.h"
#include "gpu/ops/transfer_ops.h"
#include "storage/base/digest.h"

namespace signum {

// Of a backend that serves; zeros where its memory is the host's. Any thread.
ops::DeviceMemory MemoryOf(ops::Backend& backend);

// Copies `host`, which stays where it is until all that is opened with the image is, to as many
// bytes of the backend's memory at `device` (aligned to 256), and has the backend digest the copy:
// chunks of storage/format's kChunkBytes must have these digests. Errc::kCorrupt "device_mismatch"
// names the first chunk that has another; kUnavailable device_failed, unsupported_device where the
// backend's memory is the host's.
Result<std::shared_ptr<const DeviceImage>> MakeDeviceImage(ops::Backend& backend, ConstBytes host,
                                                           std::byte* device,
                                                           std::shared_ptr<const void> owner,
                                                           std::span<const Digest> chunks);

}  // namespace signum
