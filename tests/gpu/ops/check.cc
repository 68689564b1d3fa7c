#include "tests/gpu/ops/check.h"

#include <cmath>

#include "gpu/kernels/convert.h"

namespace signum::ops {

void Report::True(bool condition, const std::string& what) {
  if (!condition) failures_.push_back(what);
}

void Report::Near(const std::vector<float>& got, const std::vector<double>& expected,
                  double tolerance, const std::string& what) {
  if (got.size() != expected.size()) return True(false, what + ": sizes differ");
  double error = 0;
  double size = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    error += (double{got[i]} - expected[i]) * (double{got[i]} - expected[i]);
    size += expected[i] * expected[i];
  }
  const bool close = std::sqrt(error) <= tolerance * std::sqrt(size) + 1e-30;  // false for a NaN
  True(close, what + ": relative error " + std::to_string(std::sqrt(error / size)));
}

void Report::Close(double got, double expected, double tolerance, const std::string& what) {
  const bool close = std::fabs(got - expected) <= tolerance * std::max(1.0, std::fabs(expected));
  True(close, what + ": " + std::to_string(got) + ", not " + std::to_string(expected));
}

Floats RandomFloats(std::mt19937& random, int64_t n, float scale) {
  std::normal_distribution<float> normal(0, scale);
  Floats values(static_cast<size_t>(n));
  for (float& value : values) value = normal(random);
  return values;
}

std::vector<uint8_t> RandomBytes(std::mt19937& random, size_t n) {
  std::vector<uint8_t> bytes(n);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

std::vector<uint8_t> RandomPlane(std::mt19937& random, int64_t rows, int64_t columns) {
  const size_t row_bytes = kernels::BitBytes(static_cast<size_t>(columns));
  std::vector<uint8_t> plane = RandomBytes(random, static_cast<size_t>(rows) * row_bytes);
  if (columns % 8 == 0) return plane;
  for (size_t i = row_bytes - 1; i < plane.size(); i += row_bytes) {
    plane[i] = static_cast<uint8_t>(plane[i] & ((1U << (columns % 8)) - 1));
  }
  return plane;
}

bool BitAt(const std::vector<uint8_t>& plane, int64_t columns, int64_t row, int64_t column) {
  const auto byte = static_cast<size_t>(row * ((columns + 7) / 8) + column / 8);
  return (plane[byte] >> (column % 8) & 1) != 0;
}

Doubles ToDoubles(const Floats& values) { return {values.begin(), values.end()}; }

std::vector<uint8_t> Encode(kernels::Element type, const Floats& values) {
  std::vector<uint8_t> bytes(values.size() * kernels::ElementBytes(type));
  kernels::reference::FromFloat(values.data(), values.size(), {type, bytes.data()});
  return bytes;
}

Floats Decode(kernels::Element type, const std::vector<uint8_t>& bytes) {
  Floats values(bytes.size() / kernels::ElementBytes(type));
  kernels::reference::ToFloat({type, bytes.data()}, values.size(), values.data());
  return values;
}

Doubles Numeric(const std::function<double(const Doubles&)>& f, Doubles x) {
  constexpr double kStep = 1e-5;
  Doubles gradient(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double before = x[i];
    x[i] = before + kStep;
    const double up = f(x);
    x[i] = before - kStep;
    const double down = f(x);
    x[i] = before;
    gradient[i] = (up - down) / (2 * kStep);
  }
  return gradient;
}

double Inner(const Doubles& a, const Doubles& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace signum::ops
