#pragma once

#include <cstddef>

#include "gpu/kernels/element.h"

namespace signum::kernels {

// Converts n elements to float32 (F64 rounds to nearest even, F16 and BF16 are exact).
void ToFloat(ConstRow from, size_t n, float* to);

// Converts n float32 to elements of to.type, rounding to nearest, ties to even.
void FromFloat(const float* from, size_t n, MutableRow to);

// Rounds n elements to another type by way of float32; elements of the same type are copied as they
// are.
void ConvertRow(ConstRow from, size_t n, MutableRow to);

namespace reference {
void ToFloat(ConstRow from, size_t n, float* to);
void FromFloat(const float* from, size_t n, MutableRow to);
}  // namespace reference

}  // namespace signum::kernels
