#include "gpu/tensor_class.h"

#include <gtest/gtest.h>

namespace signum {
namespace {

TensorClass Of(const std::string& name, Dtype dtype, std::vector<uint64_t> shape) {
  return ClassifyTensor({name, dtype, std::move(shape)});
}

TEST(TensorClass, ByNameShapeAndDtype) {
  const std::string q = "model.layers.3.self_attn.q_proj.weight";
  EXPECT_EQ(Of(q, Dtype::kBF16, {4096, 4096}), TensorClass::kLinear);
  EXPECT_EQ(Of(q, Dtype::kF64, {8, 128}), TensorClass::kLinear);
  EXPECT_EQ(Of("model.layers.0.attention.output.weight", Dtype::kF32, {64, 64}),
            TensorClass::kLinear);
  for (const char* name : {"model.embed_tokens.weight", "lm_head.weight", "transformer.wte.weight",
                           "output.weight", "tok_embeddings.weight"}) {
    EXPECT_EQ(Of(name, Dtype::kBF16, {32000, 4096}), TensorClass::kEmbedding) << name;
  }
  EXPECT_EQ(Of("model.norm.weight", Dtype::kBF16, {4096}), TensorClass::kExact);
  EXPECT_EQ(Of(q, Dtype::kBF16, {8, 4096, 4096}), TensorClass::kExact);
  EXPECT_EQ(Of(q, Dtype::kF8E4M3, {4096, 4096}), TensorClass::kExact);
  EXPECT_EQ(Of(q, Dtype::kI32, {4096, 4096}), TensorClass::kExact);
  EXPECT_EQ(Of(q, Dtype::kBF16, {7, 4096}), TensorClass::kExact);
  EXPECT_EQ(Of(q, Dtype::kBF16, {8, 127}), TensorClass::kExact);
  EXPECT_EQ(Of(q, Dtype::kBF16, {8, (1 << 17) + 1}), TensorClass::kExact);
  EXPECT_EQ(Of(q, Dtype::kBF16, {0, 4096}), TensorClass::kExact);
}

}  // namespace
}  // namespace signum
