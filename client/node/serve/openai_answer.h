#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/node/serve/completion.h"
#include "client/node/serve/openai_request.h"
#include "client/node/serve/text_stream.h"
#include "server/http/message.h"

namespace signum::client {

// The documents that answer a request, in the shape of the OpenAI API. One prompt's part of them is
// a choice; both the whole answer and the events of a stream are made of the same pieces, so that a
// stream's texts put together are the whole answer's. Not thread-safe.
class OpenAiAnswer {
 public:
  OpenAiAnswer(const OpenAiRequest& request, const ServedModel& model, std::string id,
               const std::vector<std::shared_ptr<Completion>>& completions);

  // Takes what is new from the completions.
  void Collect();
  bool finished() const;
  // The error that ended one of them, if any.
  const std::optional<Error>& error() const { return error_; }

  nlohmann::ordered_json Whole() const;
  // What Collect found, as server-sent events; at the end also what ends the stream.
  std::string Events();

 private:
  struct Choice {
    std::shared_ptr<Completion> completion;
    std::string text;                  // all of it
    std::string fresh;                 // of it, not yet in an event
    std::vector<TokenOutput> outputs;  // where logprobs are wanted: all
    std::vector<TokenOutput> fresh_outputs;
    std::vector<TokenOutput> scored;  // of the prompt, until it is echoed
    bool echoed = false;
    int64_t offset = 0;  // of fresh_outputs in the text; -1: of a piece whose blank was dropped
    uint64_t generated = 0;
    FinishReason finish = FinishReason::kNone;
    bool begun = false, ended = false;  // events were sent
  };

  void CollectChoice(Choice& choice);
  void Echo(Choice& choice);
  std::string PieceText(int32_t token) const;
  nlohmann::ordered_json Head(bool chunk) const;
  nlohmann::ordered_json Usage() const;
  nlohmann::ordered_json Logprobs(const std::vector<TokenOutput>& outputs, int64_t offset) const;
  nlohmann::ordered_json ChatLogprobs(const std::vector<TokenOutput>& outputs) const;
  nlohmann::ordered_json ChatToken(int32_t token, double logprob) const;
  std::string Event(Choice& choice, size_t index);
  static nlohmann::ordered_json FinishName(FinishReason reason);

  const OpenAiRequest request_;
  const std::string id_;
  const int64_t created_;
  const std::string fingerprint_;
  const std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<Choice> choices_;
  std::optional<Error> error_;
  bool closed_ = false;
};

// The error document of the OpenAI API, with the status that fits.
http::Response OpenAiError(const Error& error);
nlohmann::ordered_json OpenAiErrorBody(const Error& error, int status);
int OpenAiStatus(const Error& error);
// JSON text; what is not UTF-8 becomes U+FFFD.
std::string DumpJson(const nlohmann::ordered_json& document);

}  // namespace signum::client
