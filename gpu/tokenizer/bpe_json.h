#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "gpu/tokenizer/tokenizer.h"

// What the kinds of BPE in a tokenizer.json share.

namespace signum {

// The model's type, and options that change what it does.
Result<void> CheckBpe(const nlohmann::json& model);
// Each token, then each merge in the order of ranks; `merge` tells whether its parts and what it
// makes are tokens.
Result<void> ReadBpe(
    const nlohmann::json& model, const std::function<void(const std::string&, int32_t)>& token,
    const std::function<bool(const std::string& left, const std::string& right)>& merge);
// The token that texts begin with: the post-processor's, where a template of it begins with one of
// its own, else `bos`; -1: none.
Result<int32_t> FindBegin(const nlohmann::json& file, std::string_view bos,
                          const Tokenizer& tokenizer);

// BPE over characters with a token for each byte, as SentencePiece's models become in JSON (Llama
// 2, Mistral, Gemma): a blank is U+2581, one is put before a text or not.
Result<std::shared_ptr<const Tokenizer>> OpenPieceBpe(const nlohmann::json& file,
                                                      std::string_view bos);

}  // namespace signum
