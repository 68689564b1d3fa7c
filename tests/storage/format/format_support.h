#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/format/checkpoint.h"
#include "storage/format/safetensors.h"

// Small files for the tests of storage/format.

namespace signum {

// Safetensors bytes with this JSON and this data, whatever they say.
std::string RawSafetensors(std::string_view json, std::string_view data);

// A tensor whose data is given as bytes.
struct TestTensor {
  TensorInfo info;
  std::string data;
};
// A valid safetensors file of these tensors, in this order.
std::string MakeSafetensors(const std::vector<TestTensor>& tensors);

std::shared_ptr<const ByteSource> Source(std::string bytes);

// A tensor of `info` with bytes 0, 1, 2 … (finite in every dtype but F8 and F64).
TestTensor Counting(TensorInfo info);

std::string TestData(std::string_view name);  // path below tests/data

// A source without View(), which counts the bytes read.
class CountingSource final : public ByteSource {
 public:
  explicit CountingSource(std::string bytes) : inner_(std::move(bytes)) {}
  uint64_t size() const override { return inner_.size(); }
  Result<void> Read(uint64_t offset, MutableBytes out) const override {
    read_ += out.size();
    return inner_.Read(offset, out);
  }
  uint64_t read() const { return read_; }

 private:
  MemorySource inner_;
  mutable uint64_t read_ = 0;
};

}  // namespace signum
