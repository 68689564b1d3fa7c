#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "client/node/residency.h"
#include "client/node/serve/served_model.h"
#include "gpu/serve/sampler.h"

namespace signum::client {

// What one prompt asks for.
struct CompletionRequest {
  std::shared_ptr<const ServedModel> model;
  Lease lease;  // of the model's generation, from the first token to the last; none for a base
  std::vector<int32_t> prompt;  // one token or more, in the vocabulary, shorter than the context
  SamplingOptions sampling;
  int64_t max_tokens = 16;
  int64_t logprobs = -1;  // of how many likely tokens beside the one taken; -1: none
  bool echo = false;      // logprobs of the prompt too
  std::vector<std::string> stops;
  bool drop_first_blank = false;
  std::chrono::steady_clock::time_point asked = std::chrono::steady_clock::now();
};

struct TokenOutput {
  int32_t token = 0;
  std::string text;               // what can be said since the last token
  std::optional<double> logprob;  // where asked for; not of the first token of a prompt
  std::vector<TokenLogprob> top;
};

enum class FinishReason { kNone, kStop, kLength, kFailed };

// Where those who wait for news of some completions are woken. Thread-safe.
class NewsBell {
 public:
  // Registers the one who is woken, until the handle goes.
  std::shared_ptr<void> Subscribe(std::function<void()> wake);
  void Ring();

 private:
  std::shared_ptr<std::mutex> mutex_ = std::make_shared<std::mutex>();
  std::shared_ptr<std::function<void()>> wake_ = std::make_shared<std::function<void()>>();
};

// One prompt being completed: the scheduler puts tokens in, the connection takes them out.
// Thread-safe.
class Completion {
 public:
  Completion(CompletionRequest request, std::shared_ptr<NewsBell> bell, bool streamed)
      : request_(std::move(request)), bell_(std::move(bell)), streamed_(streamed) {}

  const CompletionRequest& request() const { return request_; }

  // ---- the scheduler's side
  void Push(TokenOutput output);
  void PushPrompt(TokenOutput output);  // of the prompt, where it is echoed
  // Ends it: `rest` is what the text had held back. Gives model and lease up.
  void Finish(FinishReason reason, std::string rest, std::optional<Error> error = std::nullopt);
  bool cancelled() const { return cancelled_; }

  // ---- the connection's side
  struct News {
    std::vector<TokenOutput> prompt, tokens;  // since the last call
    std::string rest;
    FinishReason finish = FinishReason::kNone;
    std::optional<Error> error;
    uint64_t generated = 0;  // in all
  };
  News Take();
  bool finished() const;
  // Nobody wants it any more: it ends at the next step.
  void Cancel() { cancelled_ = true; }

 private:
  CompletionRequest request_;
  const std::shared_ptr<NewsBell> bell_;
  const bool streamed_;  // each token is news, not the end alone
  std::atomic<bool> cancelled_{false};
  mutable std::mutex mutex_;
  News news_;
};

}  // namespace signum::client
