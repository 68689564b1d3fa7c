#include "tests/gpu/kernels/kernel_support.h"

#include <random>

#include "gpu/kernels/scalar.h"
#include "gpu/kernels/simd.h"

namespace signum::kernels {

TestRow::TestRow(Element type, const std::vector<float>& values)
    : type_(type), bytes_(values.size() * ElementBytes(type) + 1) {
  for (size_t i = 0; i < values.size(); ++i) StoreElement({type, bytes_.data() + 1}, i, values[i]);
}

TestPair RandomPair(size_t n, uint64_t seed, double zeros) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> weight(0, 0.05F);
  std::normal_distribution<float> change(0, 0.01F);
  std::bernoulli_distribution kept(zeros);
  TestPair pair;
  for (size_t i = 0; i < n; ++i) {
    pair.base.push_back(weight(random));
    pair.fine.push_back(kept(random) ? pair.base.back() : pair.base.back() + change(random));
  }
  return pair;
}

std::vector<uint8_t> RandomBits(size_t bits, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<uint8_t> bytes(BitBytes(bits));
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  if (bits % 8 != 0) bytes.back() &= static_cast<uint8_t>((1U << (bits % 8)) - 1);
  return bytes;
}

void ForEverySimd(const std::function<void(const std::string&)>& check) {
  for (const std::string& name : SimdNames()) {
    if (name == "scalar") continue;
    SetSimd(name);
    check(name);
  }
  SetSimd("");
}

}  // namespace signum::kernels
