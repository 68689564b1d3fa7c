#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/node/serve/jinja/template.h"
#include "gpu/tokenizer/tokenizer.h"
#include "storage/base/result.h"

namespace signum::client {

struct ChatMessage {
  std::string role;  // system, user, assistant
  std::string content;
  std::optional<std::string> name = {};  // of who speaks
};

// How a conversation becomes a prompt: the checkpoint's own Jinja template, run as transformers
// runs it. Immutable.
class ChatTemplate {
 public:
  ChatTemplate() = default;  // the checkpoint has none
  // `source` is the template, `special_tokens` what it may name beside the messages ("bos_token":
  // "<s>"). One that the interpreter can't run is kept as the reason why. `blank_after_controls`:
  // whether SentencePiece's own blank is put before each part between control tokens, or before the
  // text alone.
  ChatTemplate(std::string source, jinja::Variables special_tokens,
               bool blank_after_controls = true);

  // The tokens of a conversation that the assistant is to go on with. Control tokens that the
  // template writes are those tokens; what reads like one in a message is text. Errc::kInvalid
  // no_chat_template; bad_messages (roles that are not known, what the template itself refuses);
  // chat_template_failed.
  Result<std::vector<int32_t>> Apply(const Tokenizer& tokenizer,
                                     const std::vector<ChatMessage>& messages,
                                     const std::tm& now) const;

  // The token that ends the assistant's turn, beside the end-of-sequence token, where the template
  // writes one that is known for it; -1 elsewhere.
  int32_t EndOfTurn(const Tokenizer& tokenizer) const;

 private:
  std::string source_;
  jinja::Variables special_tokens_;
  std::shared_ptr<const jinja::Template> program_;
  std::string why_not_;
  bool blank_after_controls_ = true;
};

// Local time, as strftime_now tells it.
std::tm LocalNow();

// The ids of a rendered text: what encoding it as a whole gives, but that control tokens are
// recognised in the template's own bytes alone.
std::vector<int32_t> EncodeRendered(const Tokenizer& tokenizer, const jinja::Text& text,
                                    bool blank_after_controls = true);

}  // namespace signum::client
