#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "gpu/kernels/element.h"

namespace signum::kernels {

inline constexpr Element kElements[] = {Element::kF64, Element::kF32, Element::kF16,
                                        Element::kBF16};

// Row lengths that end before, on and after the edges of vectors, lane groups and blocks.
inline const std::vector<size_t> kLengths = {0,  1,  7,   8,   9,    15,   16,   17,   31,  63,
                                             64, 65, 100, 191, 1000, 4095, 4096, 4097, 9000};

// Elements of one type at an address that is not aligned for them.
class TestRow {
 public:
  TestRow(Element type, const std::vector<float>& values);
  ConstRow get() const { return {type_, bytes_.data() + 1}; }

 private:
  Element type_;
  std::vector<std::byte> bytes_;
};

// Random weights and the same after a fine-tune that left `zeros` of them alone.
struct TestPair {
  std::vector<float> base, fine;
};
TestPair RandomPair(size_t n, uint64_t seed, double zeros);

std::vector<uint8_t> RandomBits(size_t bits, uint64_t seed);

// Runs `check` under every implementation this machine has but the reference.
void ForEverySimd(const std::function<void(const std::string&)>& check);

}  // namespace signum::kernels
