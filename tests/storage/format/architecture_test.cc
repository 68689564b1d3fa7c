#include <gtest/gtest.h>

#include <algorithm>

#include "storage/format/checkpoint.h"
#include "tests/storage/format/format_support.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

// Tensors without data.
class Shapes final : public CheckpointSource {
 public:
  explicit Shapes(std::vector<TensorInfo> tensors) : tensors_(std::move(tensors)) {
    std::sort(tensors_.begin(), tensors_.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
  }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  Result<std::shared_ptr<const ByteSource>> Open(size_t) const override { return Source(""); }
  std::optional<Digest> KnownDigest(size_t) const override { return std::nullopt; }

 private:
  std::vector<TensorInfo> tensors_;
};

constexpr char kConfig[] = R"({"model_type":"llama","hidden_size":64,"num_hidden_layers":1})";

std::vector<TensorInfo> Base() {
  return {{"model.embed_tokens.weight", Dtype::kBF16, {1000, 64}},
          {"model.layers.0.mlp.up_proj.weight", Dtype::kBF16, {2048, 64}},
          {"model.norm.weight", Dtype::kBF16, {64}},
          {"lm_head.weight", Dtype::kBF16, {1000, 64}}};
}

Result<void> Check(const std::vector<TensorInfo>& fine, std::string_view config = kConfig) {
  return CheckArchitecture(kConfig, Shapes(Base()), config, Shapes(fine));
}

// Base() with tensor `index` changed.
std::vector<TensorInfo> With(size_t index, Dtype dtype, std::vector<uint64_t> shape) {
  std::vector<TensorInfo> tensors = Base();
  tensors[index].dtype = dtype;
  tensors[index].shape = std::move(shape);
  return tensors;
}

std::vector<TensorInfo> Plus(TensorInfo extra) {
  std::vector<TensorInfo> tensors = Base();
  tensors.push_back(std::move(extra));
  return tensors;
}

auto Mismatch(const char* text) {
  return FailsWith(Errc::kUnusable, "architecture_mismatch", text);
}

TEST(CheckArchitecture, TakesTheSameAndOtherFloats) {
  EXPECT_THAT(Check(Base()), Ok());
  EXPECT_THAT(Check(With(1, Dtype::kF32, {2048, 64})), Ok());
  EXPECT_THAT(Check(With(1, Dtype::kF16, {2048, 64})), Ok());
  EXPECT_THAT(Check(With(1, Dtype::kF8E4M3, {2048, 64})), Mismatch("up_proj.weight"));
}

TEST(CheckArchitecture, TakesAGrownVocabulary) {
  EXPECT_THAT(Check(With(0, Dtype::kBF16, {1008, 64})), Ok());
  EXPECT_THAT(Check(With(3, Dtype::kBF16, {1008, 64})), Ok());
  EXPECT_THAT(Check(With(0, Dtype::kBF16, {999, 64})), Mismatch("BF16 [999, 64]"));
  EXPECT_THAT(Check(With(0, Dtype::kBF16, {1008, 32})), Mismatch("embed_tokens"));
  EXPECT_THAT(Check(With(0, Dtype::kBF16, {1008 * 64})), Mismatch("embed_tokens"));
}

TEST(CheckArchitecture, TakesOtherShapesNowhereElse) {
  EXPECT_THAT(Check(With(1, Dtype::kBF16, {2049, 64})), Mismatch("[2049, 64], the base has BF16"));
  EXPECT_THAT(Check(With(2, Dtype::kBF16, {65})), Mismatch("model.norm.weight"));
  EXPECT_THAT(Check(With(2, Dtype::kBF16, {64, 1})), Mismatch("model.norm.weight"));
}

TEST(CheckArchitecture, TakesSmallExtrasAndHeads) {
  EXPECT_THAT(Check(Plus({"model.layers.0.q.bias", Dtype::kBF16, {1 << 20}})), Ok());
  EXPECT_THAT(Check(Plus({"score.weight", Dtype::kBF16, {1024, 64}})), Ok());
  EXPECT_THAT(Check(Plus({"score.weight", Dtype::kBF16, {1025, 64}})), Mismatch("score.weight"));
  EXPECT_THAT(Check(Plus({"embed_out.weight", Dtype::kBF16, {5000, 64}})), Ok());
}

TEST(CheckArchitecture, WantsEveryTensorOfTheBase) {
  for (size_t i = 0; i < Base().size(); ++i) {
    std::vector<TensorInfo> tensors = Base();
    tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_THAT(Check(tensors), Mismatch(Base()[i].name.c_str()));
  }
}

TEST(CheckArchitecture, LetsATiedHeadBeAbsent) {
  std::vector<TensorInfo> tensors = Base();
  tensors.pop_back();
  EXPECT_THAT(Check(tensors, R"({"model_type":"llama","tie_word_embeddings":true})"), Ok());
  EXPECT_THAT(Check(tensors, R"({"model_type":"llama","tie_word_embeddings":false})"),
              Mismatch("lm_head.weight"));
  tensors.erase(tensors.begin());
  EXPECT_THAT(Check(tensors, R"({"tie_word_embeddings":true})"), Mismatch("embed_tokens"));
}

TEST(CheckArchitecture, NamesTheConfigField) {
  EXPECT_THAT(Check(Base(), R"({"model_type":"mistral"})"), Mismatch("model_type is \"mistral\""));
  EXPECT_THAT(Check(Base(), R"({"hidden_size":65})"),
              Mismatch("hidden_size is 65, the base has 64"));
  EXPECT_THAT(Check(Base(), R"({"num_hidden_layers":"1"})"), Mismatch("num_hidden_layers"));
  EXPECT_THAT(Check(Base(), R"({"rope_theta":1e6,"vocab_size":7})"), Ok());
  EXPECT_THAT(Check(Base(), "[]"), FailsWith(Errc::kUnusable, "bad_config", "fine-tune"));
}

TEST(CheckArchitecture, TakesTheRealFamily) {
  const auto base = Checkpoint::OpenDirectory(TestData("tiny-llama/base")).value();
  const auto fine = Checkpoint::OpenDirectory(TestData("tiny-llama/kjv")).value();
  EXPECT_THAT(CheckArchitecture(base->config_json(), *base, fine->config_json(), *fine), Ok());
}

TEST(IsVocabularyTensor, GoesByNameAndRank) {
  for (const char* name : {"lm_head.weight", "model.embed_tokens.weight", "transformer.wte.weight",
                           "language_model.lm_head.weight", "output.weight", "embed_out.weight"}) {
    EXPECT_TRUE(IsVocabularyTensor({name, Dtype::kBF16, {4, 4}})) << name;
    EXPECT_FALSE(IsVocabularyTensor({name, Dtype::kBF16, {4}})) << name;
  }
  for (const char* name : {"layers.0.attn.output.weight", "xlm_head.weight", "lm_head.bias",
                           "model.layers.0.mlp.up_proj.weight", "wpe.weight"}) {
    EXPECT_FALSE(IsVocabularyTensor({name, Dtype::kBF16, {4, 4}})) << name;
  }
}

}  // namespace
}  // namespace signum
