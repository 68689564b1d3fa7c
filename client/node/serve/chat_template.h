#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gpu/tokenizer/tokenizer.h"
#include "storage/base/result.h"

namespace signum::client {

struct ChatMessage {
  std::string role;  // system, user, assistant
  std::string content;
};

// How a conversation becomes a prompt. Checkpoints say it as a Jinja program; the node runs none,
// but knows the usual ones by the markers that they write.
enum class ChatTemplate {
  kNone,     // the checkpoint has no template
  kUnknown,  // it has one that is not known here
  kChatml,   // <|im_start|>role\n…<|im_end|>\n
  kLlama2,   // [INST] <<SYS>>…<</SYS>> … [/INST] …</s>; Mistral's too, which has no <<SYS>>
  kLlama3,   // <|start_header_id|>role<|end_header_id|>\n\n…<|eot_id|>
};

// Of a checkpoint's template text; empty where it has none.
ChatTemplate DetectChatTemplate(std::string_view jinja);

// The tokens of a conversation that the assistant is to go on with, the beginning-of-sequence token
// included. Errc::kInvalid no_chat_template, bad_messages (roles in an order that the template does
// not have).
Result<std::vector<int32_t>> ApplyChatTemplate(ChatTemplate which, const Tokenizer& tokenizer,
                                               const std::vector<ChatMessage>& messages);

// The token that ends the assistant's turn, beside the end-of-sequence token; -1: there is none.
int32_t EndOfTurn(ChatTemplate which, const Tokenizer& tokenizer);

}  // namespace signum::client
