#include <dlfcn.h>

#include <cstring>
#include <memory>

#include "client/capi/boundary.h"
#include "client/capi/dlpack.h"
#include "client/capi/handles.h"

namespace signum::client {
namespace {

using namespace dlpack;  // NOLINT: this file is about it

DLDataType TypeOf(int32_t dtype, bool bits) {
  switch (dtype) {
    case SIGNUM_BOOL:
      return {kDLBool, 8, 1};
    case SIGNUM_I8:
      return {kDLInt, 8, 1};
    case SIGNUM_I16:
      return {kDLInt, 16, 1};
    case SIGNUM_U16:
      return {kDLUInt, 16, 1};
    case SIGNUM_F16:
      return {kDLFloat, 16, 1};
    case SIGNUM_BF16:
      return {bits ? kDLUInt : kDLBfloat, 16, 1};
    case SIGNUM_I32:
      return {kDLInt, 32, 1};
    case SIGNUM_U32:
      return {kDLUInt, 32, 1};
    case SIGNUM_F32:
      return {kDLFloat, 32, 1};
    case SIGNUM_F64:
      return {kDLFloat, 64, 1};
    case SIGNUM_I64:
      return {kDLInt, 64, 1};
    case SIGNUM_U64:
      return {kDLUInt, 64, 1};
    case SIGNUM_C64:
      return {kDLComplex, 64, 1};
    default:  // U8, and F8 of every kind
      return {kDLUInt, 8, 1};
  }
}

// A managed tensor with what it refers to. Both kinds' `manager_ctx` points here.
struct Held {
  ~Held() { signum_lease_release(lease); }

  signum_lease* lease = nullptr;
  std::vector<int64_t> shape, strides;
  DLManagedTensor plain{};
  DLManagedTensorVersioned versioned{};
};

template <class Managed>
void Delete(Managed* self) {
  if (self != nullptr) delete static_cast<Held*>(self->manager_ctx);
}

DLTensor Fill(Held& held, const signum_tensor& tensor, bool bits) {
  held.shape.assign(tensor.shape, tensor.shape + tensor.rank);
  held.strides.resize(held.shape.size());
  int64_t stride = 1;
  for (size_t i = held.shape.size(); i-- > 0;) {
    held.strides[i] = stride;
    stride *= held.shape[i];
  }
  DLTensor out{};
  out.data = const_cast<void*>(tensor.data);
  out.device = {tensor.device_kind, tensor.device_id};
  out.ndim = tensor.rank;
  out.dtype = TypeOf(tensor.dtype, bits);
  out.shape = held.shape.data();
  out.strides = held.strides.data();
  return out;
}

void* Manage(signum_lease* lease, const signum_tensor& tensor, uint32_t flags) {
  auto held = std::make_unique<Held>();
  const DLTensor filled = Fill(*held, tensor, (flags & SIGNUM_DLPACK_BITS) != 0);
  held->lease = signum_lease_retain(lease);
  Held* out = held.release();
  if ((flags & SIGNUM_DLPACK_VERSIONED) != 0) {
    out->versioned = {{1, 0}, out, Delete<DLManagedTensorVersioned>, kReadOnly, filled};
    return &out->versioned;
  }
  out->plain = {filled, out, Delete<DLManagedTensor>};
  return &out->plain;
}

// A function of the Python that this process is, if it is one.
template <class Function>
Function* PythonFunction(const char* name) {
  void* symbol = dlsym(RTLD_DEFAULT, name);
  Function* function = nullptr;
  static_assert(sizeof function == sizeof symbol);
  std::memcpy(&function, &symbol, sizeof symbol);
  return function;
}

}  // namespace
}  // namespace signum::client

using namespace signum::client;  // NOLINT: the C interface of that namespace
using signum::Errc;
using signum::Fail;
using signum::Result;

extern "C" {

signum_status signum_lease_dlpack(signum_lease* lease, size_t index, uint32_t flags,
                                  void** managed) {
  if (managed != nullptr) *managed = nullptr;
  return AtBoundary([&]() -> Result<void> {
    SIGNUM_TRY(NeedArgument(lease, "lease"));
    SIGNUM_TRY(NeedArgument(managed, "managed"));
    if (flags > (SIGNUM_DLPACK_VERSIONED | SIGNUM_DLPACK_BITS)) {
      return Fail(Errc::kInvalid, "bad_flags", "unknown flags: " + std::to_string(flags));
    }
    const auto& tensors = lease->table().tensors();
    if (index >= tensors.size()) {
      return Fail(
          Errc::kNotFound, "no_such_index",
          "there is no tensor " + std::to_string(index) + " of " + std::to_string(tensors.size()));
    }
    *managed = Manage(lease, tensors[index], flags);
    return {};
  });
}

void signum_dlpack_free(void* managed, uint32_t flags) {
  if (managed == nullptr) return;
  if ((flags & SIGNUM_DLPACK_VERSIONED) != 0) {
    auto* self = static_cast<dlpack::DLManagedTensorVersioned*>(managed);
    self->deleter(self);
  } else {
    auto* self = static_cast<dlpack::DLManagedTensor*>(managed);
    self->deleter(self);
  }
}

// A consumer that takes the tensor renames the capsule.
void signum_dlpack_drop_capsule(void* capsule) {
  static auto* const is_valid = PythonFunction<int(void*, const char*)>("PyCapsule_IsValid");
  static auto* const pointer = PythonFunction<void*(void*, const char*)>("PyCapsule_GetPointer");
  if (capsule == nullptr || is_valid == nullptr || pointer == nullptr) return;
  const struct {
    const char* name;
    uint32_t flags;
  } kinds[] = {{"dltensor", 0}, {"dltensor_versioned", SIGNUM_DLPACK_VERSIONED}};
  for (const auto& kind : kinds) {
    if (is_valid(capsule, kind.name) != 0) {
      return signum_dlpack_free(pointer(capsule, kind.name), kind.flags);
    }
  }
}

}  // extern "C"
