#include "client/node/serve/chat_template.h"

#include "storage/base/name.h"

namespace signum::client {
namespace {

// Puts text and markers together. A marker that is a piece of the tokenizer is that one token,
// however text that reads like it would be divided.
class Prompt {
 public:
  explicit Prompt(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  Prompt& Bos() { return Token(tokenizer_.bos()); }
  Prompt& Eos() { return Token(tokenizer_.eos()); }
  Prompt& Marker(std::string_view marker) {
    const int32_t token = tokenizer_.Find(marker);
    return token >= 0 ? Token(token) : Text(marker);
  }
  Prompt& Text(std::string_view text) {
    pending_ += text;
    return *this;
  }
  std::vector<int32_t> Take() {
    Flush();
    return std::move(ids_);
  }

 private:
  Prompt& Token(int32_t token) {
    Flush();
    if (token >= 0) ids_.push_back(token);
    return *this;
  }
  void Flush() {
    if (pending_.empty()) return;
    const std::vector<int32_t> ids = tokenizer_.Encode(pending_);
    ids_.insert(ids_.end(), ids.begin(), ids.end());
    pending_.clear();
  }

  const Tokenizer& tokenizer_;
  std::string pending_;
  std::vector<int32_t> ids_;
};

Error BadMessages(const std::string& what) {
  return Fail(Errc::kInvalid, "bad_messages", "messages: " + what);
}

std::vector<int32_t> Chatml(const Tokenizer& tokenizer, const std::vector<ChatMessage>& messages) {
  Prompt prompt(tokenizer);
  for (const ChatMessage& message : messages) {
    prompt.Marker("<|im_start|>").Text(message.role + "\n" + message.content);
    prompt.Marker("<|im_end|>").Text("\n");
  }
  prompt.Marker("<|im_start|>").Text("assistant\n");
  return prompt.Take();
}

std::vector<int32_t> Llama3(const Tokenizer& tokenizer, const std::vector<ChatMessage>& messages) {
  Prompt prompt(tokenizer);
  prompt.Bos();
  const auto header = [&](std::string_view role) {
    prompt.Marker("<|start_header_id|>").Text(role).Marker("<|end_header_id|>").Text("\n\n");
  };
  for (const ChatMessage& message : messages) {
    header(message.role);
    prompt.Text(message.content).Marker("<|eot_id|>");
  }
  header("assistant");
  return prompt.Take();
}

// User and assistant take turns; what the system says stands in the first user's message.
Result<std::vector<int32_t>> Llama2(const Tokenizer& tokenizer,
                                    const std::vector<ChatMessage>& messages) {
  Prompt prompt(tokenizer);
  std::string system;
  size_t at = 0;
  if (messages[0].role == "system") {
    system = "<<SYS>>\n" + messages[0].content + "\n<</SYS>>\n\n";
    at = 1;
  }
  bool user_next = true;
  for (; at < messages.size(); ++at, user_next = !user_next) {
    const ChatMessage& message = messages[at];
    if (message.role != (user_next ? "user" : "assistant")) {
      return BadMessages("user and assistant must take turns, the user first");
    }
    if (user_next) {
      prompt.Bos().Text("[INST] " + system + message.content + " [/INST]");
      system.clear();
    } else {
      prompt.Text(" " + message.content + " ").Eos();
    }
  }
  if (user_next) return BadMessages("the last message must be the user's");
  return prompt.Take();
}

Result<void> CheckRoles(const std::vector<ChatMessage>& messages) {
  if (messages.empty()) return BadMessages("there is none");
  for (const ChatMessage& message : messages) {
    const std::string& role = message.role;
    if (role == "system" || role == "user" || role == "assistant") continue;
    return BadMessages("role '" + Printable(role) + "' is not system, user or assistant");
  }
  return {};
}

}  // namespace

ChatTemplate DetectChatTemplate(std::string_view jinja) {
  const auto has = [&](std::string_view marker) { return jinja.find(marker) != jinja.npos; };
  if (jinja.empty()) return ChatTemplate::kNone;
  if (has("<|im_start|>")) return ChatTemplate::kChatml;
  if (has("<|start_header_id|>")) return ChatTemplate::kLlama3;
  if (has("[INST]")) return ChatTemplate::kLlama2;
  return ChatTemplate::kUnknown;
}

Result<std::vector<int32_t>> ApplyChatTemplate(ChatTemplate which, const Tokenizer& tokenizer,
                                               const std::vector<ChatMessage>& messages) {
  SIGNUM_TRY(CheckRoles(messages));
  switch (which) {
    case ChatTemplate::kChatml:
      return Chatml(tokenizer, messages);
    case ChatTemplate::kLlama2:
      return Llama2(tokenizer, messages);
    case ChatTemplate::kLlama3:
      return Llama3(tokenizer, messages);
    case ChatTemplate::kNone:
      return Fail(Errc::kInvalid, "no_chat_template",
                  "the model's checkpoint has no chat template: use /v1/completions");
    case ChatTemplate::kUnknown:
      break;
  }
  return Fail(Errc::kInvalid, "no_chat_template",
              "the checkpoint's chat template is none that this node knows (ChatML, Llama 2, Llama "
              "3): use /v1/completions with the prompt written out");
}

int32_t EndOfTurn(ChatTemplate which, const Tokenizer& tokenizer) {
  if (which == ChatTemplate::kChatml) return tokenizer.Find("<|im_end|>");
  if (which == ChatTemplate::kLlama3) return tokenizer.Find("<|eot_id|>");
  return -1;
}

}  // namespace signum::client
