#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace signum::kernels {

// Element types the kernels compute with. Everything is computed in float32: F64 is rounded to it
// first, F16 and BF16 convert exactly.
enum class Element : uint8_t { kF64, kF32, kF16, kBF16 };

inline size_t ElementBytes(Element type) {
  switch (type) {
    case Element::kF64:
      return 8;
    case Element::kF32:
      return 4;
    default:
      return 2;
  }
}

// One row (or a stretch of one): `data` points to elements of `type`, at any alignment.
struct ConstRow {
  Element type;
  const void* data;

  // The same row from element `first` on.
  ConstRow From(size_t first) const {
    return {type, static_cast<const char*>(data) + first * ElementBytes(type)};
  }
};

struct MutableRow {
  Element type;
  void* data;

  MutableRow From(size_t first) const {
    return {type, static_cast<char*>(data) + first * ElementBytes(type)};
  }
};

inline size_t BitBytes(size_t bits) { return (bits + 7) / 8; }

}  // namespace signum::kernels
