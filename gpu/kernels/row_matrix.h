#pragma once

#include <cstddef>
#include <cstdint>

namespace signum::kernels {

// out_j = Σ_i row_i m_ij for j < n, where m_ij is matrix[i * stride + j] and i < rows ascends: each
// product is rounded to float32, then added to the sum of those before it, which begins at 0. With
// B's row and A this is a row of the low-rank difference B A.
void RowTimesMatrix(const float* row, const float* matrix, size_t rows, size_t stride, size_t n,
                    float* out);

// Σ a_j b_j in the reduction order (KERNELS.md): products rounded to float32, lane j mod kLanes.
double Dot(const float* a, const float* b, size_t n);

// Σ (a_j - b_j)² in the reduction order.
double SquaredDistance(const float* a, const float* b, size_t n);

namespace reference {
void RowTimesMatrix(const float* row, const float* matrix, size_t rows, size_t stride, size_t n,
                    float* out);
}  // namespace reference

}  // namespace signum::kernels
