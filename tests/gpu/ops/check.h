#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "gpu/kernels/element.h"
#include "gpu/ops/backend.h"

// What the cases of this folder are written with. They run on any backend: under GoogleTest on the
// CPU's and on the emulated CUDA one (label unit), under a plain main on a device (label gpu),
// where nothing but the C++ standard library is there.

namespace signum::ops {

// What a case found wrong.
class Report {
 public:
  void True(bool condition, const std::string& what);
  // ‖got - expected‖ <= tolerance ‖expected‖ + 1e-30, and no NaN.
  void Near(const std::vector<float>& got, const std::vector<double>& expected, double tolerance,
            const std::string& what);
  // The same of two numbers, absolute below 1.
  void Close(double got, double expected, double tolerance, const std::string& what);
  template <class T>
  void Equal(const std::vector<T>& got, const std::vector<T>& expected, const std::string& what) {
    True(got.size() == expected.size(), what + ": sizes differ");
    for (size_t i = 0; i < got.size() && i < expected.size(); ++i) {
      if (got[i] == expected[i]) continue;
      return True(false, what + ": differs at " + std::to_string(i));
    }
  }

  const std::vector<std::string>& failures() const { return failures_; }

 private:
  std::vector<std::string> failures_;
};

struct Case {
  std::string name;
  std::function<void(Backend&, Report&)> run;
};

// Elements in the backend's memory.
template <class T>
class OnDevice {
 public:
  OnDevice(Backend& backend, const std::vector<T>& values)
      : backend_(backend), buffer_(backend, values.size()) {
    backend.Upload(values.data(), buffer_.data(), values.size() * sizeof(T));
  }
  // `size` elements of which each byte is 0xff: a NaN where nothing writes.
  OnDevice(Backend& backend, size_t size) : OnDevice(backend, Poison(size)) {}

  T* data() const { return buffer_.data(); }
  std::vector<T> Get() const {
    std::vector<T> values(buffer_.size());
    backend_.Download(buffer_.data(), values.data(), values.size() * sizeof(T));
    return values;
  }

 private:
  static std::vector<T> Poison(size_t size) {
    std::vector<T> values(size);
    std::fill_n(reinterpret_cast<unsigned char*>(values.data()), size * sizeof(T), 0xff);
    return values;
  }

  Backend& backend_;
  Buffer<T> buffer_;
};

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

Floats RandomFloats(std::mt19937& random, int64_t n, float scale = 1);
std::vector<uint8_t> RandomBytes(std::mt19937& random, size_t n);
// Sign or mask bits of a matrix, padding bits 0.
std::vector<uint8_t> RandomPlane(std::mt19937& random, int64_t rows, int64_t columns);
bool BitAt(const std::vector<uint8_t>& plane, int64_t columns, int64_t row, int64_t column);
Doubles ToDoubles(const Floats& values);

// Values as `type` has them in memory, and what they then are.
std::vector<uint8_t> Encode(kernels::Element type, const Floats& values);
Floats Decode(kernels::Element type, const std::vector<uint8_t>& bytes);

// ∂f/∂x by central differences.
Doubles Numeric(const std::function<double(const Doubles&)>& f, Doubles x);
// Σ a_i b_i.
double Inner(const Doubles& a, const Doubles& b);

}  // namespace signum::ops
