#include "gpu/serve/device_image.h"

#include "gpu/model/parallel.h"
#include "gpu/ops/delta_ops.h"
#include "storage/format/delta_file.h"

namespace signum {
namespace {

Result<void> CheckOnDevice(ops::Backend& backend, const std::byte* device, uint64_t size,
                           std::span<const Digest> chunks) {
  static_assert(sizeof(Digest) == 32);
  SIGNUM_ASSIGN(const auto digests,
                MakeBuffer<uint8_t>(backend, static_cast<int64_t>(chunks.size_bytes())));
  ops::ChunkDigestArgs args;
  args.data = reinterpret_cast<const uint8_t*>(device);
  args.digests = digests.data();
  args.bytes = static_cast<int64_t>(size);
  args.chunk = static_cast<int64_t>(kChunkBytes);
  ops::DeltaOpsOf(backend).ChunkDigests(args);
  std::vector<Digest> found(chunks.size());
  backend.Download(digests.data(), found.data(), chunks.size_bytes());
  SIGNUM_TRY(CheckBackend(backend));
  for (size_t i = 0; i < chunks.size(); ++i) {
    if (found[i] == chunks[i]) continue;
    return Fail(Errc::kCorrupt, "device_mismatch",
                "chunk " + std::to_string(i) + " is not what was signed in the memory of " +
                    backend.name());
  }
  return {};
}

}  // namespace

ops::DeviceMemory MemoryOf(ops::Backend& backend) {
  const ops::ServeOps* serve = ops::ServeOpsOf(backend);
  return serve == nullptr ? ops::DeviceMemory{} : serve->Memory();
}

Result<std::shared_ptr<const DeviceImage>> MakeDeviceImage(ops::Backend& backend, ConstBytes host,
                                                           std::byte* device,
                                                           std::shared_ptr<const void> owner,
                                                           std::span<const Digest> chunks) {
  if (chunks.size() != (host.size() + kChunkBytes - 1) / kChunkBytes) {
    return Fail(
        Errc::kInternal, "bad_chunks",
        std::to_string(chunks.size()) + " digests for " + std::to_string(host.size()) + " bytes");
  }
  ops::TransferOps* transfers = ops::TransferOpsOf(backend);
  if (transfers == nullptr) {
    return Fail(Errc::kUnavailable, "unsupported_device", backend.name() + " takes no deltas");
  }
  transfers->CopyIn(device, host.data(), host.size());
  SIGNUM_TRY(CheckBackend(backend));
  SIGNUM_TRY(CheckOnDevice(backend, device, host.size(), chunks));
  return std::make_shared<const DeviceImage>(DeviceImage{host, {device, std::move(owner)}});
}

}  // namespace signum
