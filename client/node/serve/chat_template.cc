#include "client/node/serve/chat_template.h"

#include <algorithm>

#include "storage/base/name.h"

namespace signum::client {
namespace {

using jinja::Value;

Error BadMessages(const std::string& what) {
  return Fail(Errc::kInvalid, "bad_messages", "messages: " + what);
}

// A role is one of three words, so it may stand in a control token ("<|user|>").
Result<Value> MessageValue(const ChatMessage& message) {
  const std::string& role = message.role;
  if (role != "system" && role != "user" && role != "assistant") {
    return BadMessages("role '" + Printable(role) + "' is not system, user or assistant");
  }
  std::vector<std::pair<Value, Value>> items = {
      {Value::Of("role"), Value::Of(role)},
      {Value::Of("content"), Value::Of(jinja::Text(message.content, true))}};
  if (message.name) {
    items.emplace_back(Value::Of("name"), Value::Of(jinja::Text(*message.name, true)));
  }
  return jinja::MakeDict(std::move(items));
}

Result<Value> MessagesValue(const std::vector<ChatMessage>& messages) {
  if (messages.empty()) return BadMessages("there is none");
  std::vector<Value> list;
  for (const ChatMessage& message : messages) {
    SIGNUM_ASSIGN(Value value, MessageValue(message));
    list.push_back(std::move(value));
  }
  return jinja::MakeList(std::move(list));
}

}  // namespace

ChatTemplate::ChatTemplate(std::string source, jinja::Variables special_tokens,
                           bool blank_after_controls)
    : source_(std::move(source)),
      special_tokens_(std::move(special_tokens)),
      blank_after_controls_(blank_after_controls) {
  auto program = jinja::Template::Parse(source_);
  if (program) {
    program_ = *std::move(program);
  } else {
    why_not_ = program.error().message;
  }
}

Result<std::vector<int32_t>> ChatTemplate::Apply(const Tokenizer& tokenizer,
                                                 const std::vector<ChatMessage>& messages,
                                                 const std::tm& now) const {
  SIGNUM_ASSIGN(Value list, MessagesValue(messages));
  if (program_ == nullptr) {
    return Fail(Errc::kInvalid, "no_chat_template",
                why_not_.empty()
                    ? "the model's checkpoint has no chat template: use /v1/completions"
                    : "the checkpoint's chat template has what this node does not support, " +
                          why_not_ + ": use /v1/completions with the prompt written out");
  }
  jinja::Variables variables = special_tokens_;
  variables.emplace_back("messages", std::move(list));
  variables.emplace_back("tools", Value());
  variables.emplace_back("documents", Value());
  variables.emplace_back("add_generation_prompt", Value::Bool(true));
  SIGNUM_ASSIGN(const jinja::Text prompt, program_->Render(variables, now));
  return EncodeRendered(tokenizer, prompt, blank_after_controls_);
}

int32_t ChatTemplate::EndOfTurn(const Tokenizer& tokenizer) const {
  for (const char* marker : {"<|im_end|>", "<|eot_id|>"}) {
    if (source_.find(marker) != std::string::npos) return tokenizer.Find(marker);
  }
  return -1;
}

std::tm LocalNow() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return local;
}

std::vector<int32_t> EncodeRendered(const Tokenizer& tokenizer, const jinja::Text& text,
                                    bool blank_after_controls) {
  std::vector<int32_t> ids;
  size_t done = 0;  // up to where it is encoded
  const auto encode_to = [&](size_t end) {
    if (end == done) return;
    const std::string_view bytes = text.view().substr(done, end - done);
    const auto part =
        done == 0 || blank_after_controls ? tokenizer.Encode(bytes) : tokenizer.EncodeRest(bytes);
    ids.insert(ids.end(), part.begin(), part.end());
  };
  const auto find_in = [&](size_t begin, size_t end) {
    for (const ControlToken& control : tokenizer.FindControls(text.view(), begin, end)) {
      encode_to(std::max(done, control.begin));
      ids.push_back(control.id);
      done = control.end;
    }
  };
  size_t own = 0;  // where the template's own bytes go on
  for (const jinja::Text::Range& said : text.tainted()) {
    find_in(own, said.begin);
    own = said.end;
  }
  find_in(own, text.size());
  encode_to(text.size());
  return ids;
}

}  // namespace signum::client
