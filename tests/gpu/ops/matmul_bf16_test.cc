// The CPU's products in bfloat16: what they are, however they are computed.

#include "gpu/ops/matmul_bf16.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <thread>

#include "gpu/kernels/convert.h"
#include "gpu/ops/backend.h"

namespace signum::ops {
namespace {

using kernels::Element;

std::vector<float> Random(size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

std::vector<float> Rounded(const std::vector<float>& values) {
  std::vector<std::byte> bits(values.size() * 2);
  kernels::FromFloat(values.data(), values.size(), {Element::kBF16, bits.data()});
  std::vector<float> out(values.size());
  kernels::ToFloat({Element::kBF16, bits.data()}, out.size(), out.data());
  return out;
}

// One product with its operands, each row of which has `pad` elements more.
struct Product {
  MatMulArgs args;
  std::vector<float> a, b, c;

  Product(int64_t m, int64_t n, int64_t k, bool ta, bool tb, bool accumulate, int64_t pad) {
    args.m = m;
    args.n = n;
    args.k = k;
    args.transpose_a = ta;
    args.transpose_b = tb;
    args.accumulate = accumulate;
    args.lda = (ta ? m : k) + pad;
    args.ldb = (tb ? k : n) + 2 * pad;
    args.ldc = n + 3 * pad;
    a = Random(static_cast<size_t>(args.lda * (ta ? k : m)), 1);
    b = Random(static_cast<size_t>(args.ldb * (tb ? n : k)), 2);
    c = Random(static_cast<size_t>(args.ldc * m), 3);
  }

  // C after `multiply`.
  std::vector<float> Run(const std::function<void(const MatMulArgs&)>& multiply) const {
    std::vector<float> out = c;
    MatMulArgs call = args;
    call.a = a.data();
    call.b = b.data();
    call.c = out.data();
    multiply(call);
    return out;
  }
  Product WithRoundedOperands() const {
    Product rounded = *this;
    rounded.a = Rounded(a);
    rounded.b = Rounded(b);
    return rounded;
  }
  std::vector<float> Expected() const {
    return Run([](const MatMulArgs& call) { reference::MatMul(call); });
  }
};

std::vector<Product> EveryForm() {
  std::vector<Product> out;
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      for (const bool accumulate : {false, true}) {
        out.emplace_back(17, 33, 65, ta, tb, accumulate, 0);
        out.emplace_back(1, 40, 96, ta, tb, accumulate, 5);
      }
    }
  }
  return out;
}

void ExpectClose(const std::vector<float>& got, const std::vector<float>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], 5e-5) << i;
}

TEST(Bf16MatMul, IsTheProductOfRoundedOperands) {
  for (const Product& product : EveryForm()) {
    const std::vector<float> got = product.Run(Bf16MatMul);
    ExpectClose(got, product.WithRoundedOperands().Expected());
    EXPECT_NE(got, product.Run([](const MatMulArgs& call) { MatMul(call); })) << "rounded at all";
  }
}

TEST(Bf16MatMul, LeavesOrClearsWhereThereIsNothingToMultiply) {
  for (const bool accumulate : {false, true}) {
    const Product empty(3, 4, 0, false, true, accumulate, 2);
    EXPECT_EQ(empty.Run(Bf16MatMul), empty.Expected());
  }
}

TEST(Bf16MatMul, GivesTheSameBitsOnAnyThread) {
  const Product product(64, 96, 200, false, true, false, 0);
  const std::vector<float> expected = product.Run(Bf16MatMul);
  std::vector<std::vector<float>> got(3);
  std::vector<std::thread> threads;
  for (auto& each : got) threads.emplace_back([&] { each = product.Run(Bf16MatMul); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& each : got) EXPECT_EQ(each, expected);
}

// The descriptors of oneDNN's primitive, over float32 operands, which every processor takes.
TEST(PrimitiveMatMul, EqualsTheReference) {
  for (const Product& product : EveryForm()) {
    bool ran = false;
    const std::vector<float> got =
        product.Run([&](const MatMulArgs& call) { ran = PrimitiveMatMul(call, Element::kF32); });
    if (!ran) GTEST_SKIP() << "built without oneDNN";
    ExpectClose(got, product.Expected());
  }
}

TEST(PrimitiveMatMul, RunsInBf16WhereTheProcessorDoesAndElseWritesNothing) {
  for (const Product& product : EveryForm()) {
    bool ran = false;
    const std::vector<float> got =
        product.Run([&](const MatMulArgs& call) { ran = PrimitiveMatMul(call, Element::kBF16); });
    EXPECT_TRUE(ran || !HasBf16Products());
    if (ran) {
      ExpectClose(got, product.WithRoundedOperands().Expected());
    } else {
      EXPECT_EQ(got, product.c);
    }
  }
}

TEST(CpuBackend, MultipliesAsItWasAskedTo) {
  const Product product(8, 24, 48, false, true, false, 0);
  const auto by = [&](MatMulPrecision precision) {
    const auto backend = MakeCpuBackend(precision);
    return product.Run([&](const MatMulArgs& call) { backend->MatMul(call); });
  };
  const auto fp32 = product.Run([](const MatMulArgs& call) { MatMul(call); });
  const auto bf16 = product.Run(Bf16MatMul);
  EXPECT_EQ(by(MatMulPrecision::kFp32), fp32);
  EXPECT_EQ(by(MatMulPrecision::kBf16), bf16);
  EXPECT_EQ(by(MatMulPrecision::kAuto), HasBf16Products() ? bf16 : fp32);
  const auto backend = MakeCpuBackend();
  EXPECT_EQ(product.Run([&](const MatMulArgs& call) { backend->MatMul(call); }), fp32)
      << "the default";
}

}  // namespace
}  // namespace signum::ops
