#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "storage/base/name.h"
#include "storage/format/canonical_json.h"
#include "storage/format/checkpoint.h"

namespace signum {

namespace {

using nlohmann::json;

// What may not differ. rope_theta, vocab_size, dropout and the like may.
constexpr std::array<const char*, 9> kFields{
    "model_type",          "hidden_size",         "num_hidden_layers",
    "num_attention_heads", "num_key_value_heads", "head_dim",
    "intermediate_size",   "num_experts",         "num_local_experts"};

constexpr std::array<std::string_view, 3> kHeads{"lm_head.weight", "embed_out.weight",
                                                 "output.weight"};
constexpr std::array<std::string_view, 5> kEmbeddings{"embed_tokens.weight", "wte.weight",
                                                      "word_embeddings.weight", "embed_in.weight",
                                                      "tok_embeddings.weight"};
constexpr uint64_t kSmallTensor = 64 * 1024;  // elements; an extra tensor up to this is kept whole

Error Mismatch(const std::string& why) {
  return Fail(Errc::kUnusable, "architecture_mismatch", why);
}

// True where `name` is one of `names`, alone or as the last components of a longer name.
template <size_t N>
bool EndsWithAny(std::string_view name, const std::array<std::string_view, N>& names) {
  return std::any_of(names.begin(), names.end(), [&](std::string_view n) {
    return name == n || (name.ends_with(n) && name[name.size() - n.size() - 1] == '.');
  });
}

// "output.weight" is a head at the top only: deeper, it is some layer's output projection.
bool IsHead(std::string_view name) {
  if (name.ends_with("output.weight")) return name == "output.weight";
  return EndsWithAny(name, kHeads);
}

Result<json> ParseConfig(std::string_view text, std::string_view whose) {
  Result<json> value = ParseJson(text);
  if (value.has_value() && value->is_object()) return value;
  return Fail(Errc::kUnusable, "bad_config",
              "config.json of the " + std::string(whose) + " is not a JSON object");
}

Result<void> CheckConfigs(const json& base, const json& fine) {
  for (const char* field : kFields) {
    const auto in_base = base.find(field);
    const auto in_fine = fine.find(field);
    if (in_base == base.end() || in_fine == fine.end() || *in_base == *in_fine) continue;
    return Mismatch("config.json: " + std::string(field) + " is " + Printable(in_fine->dump()) +
                    ", the base has " + Printable(in_base->dump()));
  }
  return {};
}

bool IsGrownVocabulary(const TensorInfo& base, const TensorInfo& fine) {
  return IsVocabularyTensor(fine) && base.shape.size() == 2 && base.shape[1] == fine.shape[1] &&
         fine.shape[0] > base.shape[0];
}

// A tensor that both have.
Result<void> CheckPair(const TensorInfo& base, const TensorInfo& fine) {
  const bool dtypes_fit = base.dtype == fine.dtype || (IsFloat(base.dtype) && IsFloat(fine.dtype));
  if (dtypes_fit && (base.shape == fine.shape || IsGrownVocabulary(base, fine))) return {};
  return Mismatch("tensor '" + Printable(fine.name) + "' is " + fine.Describe() +
                  ", the base has " + base.Describe());
}

// A tensor that the base lacks.
Result<void> CheckExtra(const TensorInfo& fine) {
  if (fine.shape.size() <= 1 || fine.elements() <= kSmallTensor || IsVocabularyTensor(fine)) {
    return {};
  }
  return Mismatch("tensor '" + Printable(fine.name) + "' (" + fine.Describe() +
                  ") is not in the base");
}

Result<void> CheckMissing(const CheckpointSource& base, const json& fine_config,
                          const CheckpointSource& fine) {
  const bool tied = fine_config.value("tie_word_embeddings", json(false)) == json(true);
  for (const TensorInfo& tensor : base.tensors()) {
    if (fine.Find(tensor.name) || (tied && IsHead(tensor.name))) continue;
    return Mismatch("tensor '" + Printable(tensor.name) + "' (" + tensor.Describe() +
                    ") of the base is missing");
  }
  return {};
}

}  // namespace

bool IsVocabularyTensor(const TensorInfo& info) {
  return info.shape.size() == 2 && (IsHead(info.name) || EndsWithAny(info.name, kEmbeddings));
}

Result<void> CheckArchitecture(std::string_view base_config, const CheckpointSource& base,
                               std::string_view fine_config, const CheckpointSource& fine) {
  SIGNUM_ASSIGN(const json base_json, ParseConfig(base_config, "base"));
  SIGNUM_ASSIGN(const json fine_json, ParseConfig(fine_config, "fine-tune"));
  SIGNUM_TRY(CheckConfigs(base_json, fine_json));
  for (const TensorInfo& tensor : fine.tensors()) {
    const std::optional<size_t> at = base.Find(tensor.name);
    SIGNUM_TRY(at ? CheckPair(base.tensors()[*at], tensor) : CheckExtra(tensor));
  }
  return CheckMissing(base, fine_json, fine);
}

}  // namespace signum
