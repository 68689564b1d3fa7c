#include "client/capi/boundary.h"
#include "client/capi/handles.h"
#include "client/model_ref.h"

namespace signum::client {
namespace {

Result<ModelRef> ParseName(const char* model) {
  SIGNUM_TRY(NeedArgument(model, "model"));
  SIGNUM_ASSIGN(ModelRef ref, ModelRef::ParseModel(model));
  if (ref.version.empty()) return ref;
  return Fail(Errc::kInvalid, "bad_name",
              std::string(model) + ": a node holds what is live, so no version can be asked for");
}

// Row `index` of a table, or that it has none.
template <class Row>
Result<const Row*> RowAt(const std::vector<Row>& rows, size_t index, const char* what) {
  if (index < rows.size()) return &rows[index];
  return Fail(Errc::kNotFound, "no_such_index",
              std::string("there is no ") + what + " " + std::to_string(index) + " of " +
                  std::to_string(rows.size()));
}

signum_lease_info Describe(const signum_lease& lease) {
  const LiveModel& live = lease.lease->live;
  signum_lease_info out{};
  out.tenant = live.tenant.c_str();
  out.model = live.model.c_str();
  out.version = live.version;
  out.digest = lease.digest.c_str();
  out.bytes = live.size;
  out.base = live.base.c_str();
  out.base_digest = lease.base_digest.c_str();
  const TensorPlace place = lease.place();
  out.device_kind = place.device_kind;
  out.device_id = place.device_id;
  out.ready_event = place.ready_event;
  out.tensor_count = lease.table().tensors().size();
  out.weight_count = lease.table().weights().size();
  return out;
}

Result<void> NeedDevice(const signum_lease& lease) {
  if (lease.lease->device != nullptr) return {};
  return Fail(Errc::kInvalid, "no_device",
              lease.lease->live.Name() + " is in the host's memory, which no event is of");
}

}  // namespace
}  // namespace signum::client

signum::client::TensorPlace signum_lease::place() const {
  const signum::client::DeviceDelta* device = lease->device.get();
  if (device == nullptr) return {lease->arena->View().data()};
  return {device->image->device.data, SIGNUM_DEVICE_CUDA, device->device, device->ready.get()};
}

using namespace signum::client;  // NOLINT: the C interface of that namespace
using signum::Errc;
using signum::Fail;
using signum::Result;

extern "C" {

signum_status signum_lease_acquire(signum_node* node, const char* model, signum_lease** lease) {
  if (lease != nullptr) *lease = nullptr;
  return AtBoundary([&]() -> Result<void> {
    SIGNUM_TRY(NeedArgument(node, "node"));
    SIGNUM_TRY(NeedArgument(lease, "lease"));
    SIGNUM_ASSIGN(const ModelRef ref, ParseName(model));
    SIGNUM_ASSIGN(Lease taken, node->node().residency().Acquire(ref.tenant, ref.model));
    *lease = new signum_lease(node->parts, std::move(taken));
    return {};
  });
}

signum_lease* signum_lease_retain(signum_lease* lease) {
  if (lease != nullptr) lease->references.fetch_add(1, std::memory_order_relaxed);
  return lease;
}

void signum_lease_release(signum_lease* lease) {
  if (lease == nullptr) return;
  if (lease->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete lease;
}

signum_status signum_lease_release_after(signum_lease* lease, void* event) {
  return AtBoundary([&]() -> Result<void> {
    SIGNUM_TRY(NeedArgument(lease, "lease"));
    if (event == nullptr) {
      signum_lease_release(lease);
      return {};
    }
    SIGNUM_TRY(NeedDevice(*lease));
    return lease->parts->late->Add(event, [lease] { signum_lease_release(lease); });
  });
}

signum_status signum_lease_wait(const signum_lease* lease, void* stream) {
  return AtBoundary([&]() -> Result<void> {
    SIGNUM_TRY(NeedArgument(lease, "lease"));
    SIGNUM_TRY(NeedDevice(*lease));
    void* ready = lease->place().ready_event;
    if (ready == nullptr) return {};
    const ServingDevice& device = *lease->parts->device;
    if (device.transfers().StreamWaits(stream, ready)) return {};
    return Fail(Errc::kInvalid, "bad_stream", device.name() + " refuses the stream");
  });
}

signum_status signum_lease_describe(const signum_lease* lease, signum_lease_info* info) {
  return AtBoundary([&]() -> Result<void> {
    SIGNUM_TRY(NeedArgument(lease, "lease"));
    SIGNUM_TRY(NeedArgument(info, "info"));
    SIGNUM_TRY(CheckStructSize(info->struct_size, sizeof(*info), "signum_lease_info"));
    WriteStruct(Describe(*lease), info);
    return {};
  });
}

signum_status signum_lease_tensor(const signum_lease* lease, size_t index, signum_tensor* tensor) {
  return AtBoundary([&]() -> Result<void> {
    SIGNUM_TRY(NeedArgument(lease, "lease"));
    SIGNUM_TRY(NeedArgument(tensor, "tensor"));
    SIGNUM_TRY(CheckStructSize(tensor->struct_size, sizeof(*tensor), "signum_tensor"));
    SIGNUM_ASSIGN(const signum_tensor* row, RowAt(lease->table().tensors(), index, "tensor"));
    WriteStruct(*row, tensor);
    return {};
  });
}

signum_status signum_lease_find(const signum_lease* lease, const char* name,
                                signum_tensor* tensor) {
  return AtBoundary([&]() -> Result<void> {
    SIGNUM_TRY(NeedArgument(lease, "lease"));
    SIGNUM_TRY(NeedArgument(name, "name"));
    SIGNUM_TRY(NeedArgument(tensor, "tensor"));
    SIGNUM_TRY(CheckStructSize(tensor->struct_size, sizeof(*tensor), "signum_tensor"));
    SIGNUM_ASSIGN(const signum_tensor* row, lease->table().Find(name));
    WriteStruct(*row, tensor);
    return {};
  });
}

signum_status signum_lease_weight(const signum_lease* lease, size_t index, signum_weight* weight) {
  return AtBoundary([&]() -> Result<void> {
    SIGNUM_TRY(NeedArgument(lease, "lease"));
    SIGNUM_TRY(NeedArgument(weight, "weight"));
    SIGNUM_TRY(CheckStructSize(weight->struct_size, sizeof(*weight), "signum_weight"));
    SIGNUM_ASSIGN(const signum_weight* row, RowAt(lease->table().weights(), index, "weight"));
    WriteStruct(*row, weight);
    return {};
  });
}

// Names are constants of the format, so a NUL follows each.
const char* signum_codec_name(int32_t codec) {
  if (codec < SIGNUM_CODEC_SAME || codec > SIGNUM_CODEC_LOWRANK) return nullptr;
  return signum::CodecName(static_cast<signum::Codec>(codec)).data();
}

const char* signum_dtype_name(int32_t dtype) {
  if (dtype < SIGNUM_BOOL || dtype > SIGNUM_C64) return nullptr;
  return signum::DtypeName(static_cast<signum::Dtype>(dtype)).data();
}

}  // extern "C"
