#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "client/node/serve/completion.h"
#include "client/node/serve/text_stream.h"
#include "gpu/serve/block_pool.h"
#include "gpu/serve/engine.h"

namespace signum::client {

struct SchedulerOptions {
  size_t max_sequences = 64;  // in a step
  size_t max_queued = 256;    // waiting for a place; above it requests are refused
};

// Continuous batching over one base: a thread that, step by step, takes requests in, computes one
// token of each that is decoding and pieces of prompts beside them, draws, hands tokens out and
// lets go of what has ended. A request gets all the cache blocks that it may come to need when it
// is taken in, so none is ever thrown out half-way; the queue is first come, first served.
// Thread-safe.
class Scheduler {
 public:
  Scheduler(std::unique_ptr<ServeEngine> engine, const SchedulerOptions& options);
  ~Scheduler();  // ends what runs with an error
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Ends everything and the thread; what is submitted later is refused. Idempotent.
  void Stop();

  // Errc::kUnavailable queue_full, stopping; kInvalid cache_too_small where it could never be taken
  // in.
  Result<void> Submit(std::shared_ptr<Completion> completion);

  struct Stats {
    uint64_t running = 0, queued = 0, finished = 0, cancelled = 0;
    uint64_t steps = 0, tokens = 0, rows = 0;  // tokens drawn, rows computed
    uint64_t blocks = 0, blocks_used = 0, prefix_tokens = 0;
  };
  Stats stats() const;
  const ServeEngine& engine() const { return *engine_; }

 private:
  // One completion that is being computed. The thread's own.
  struct Sequence {
    std::shared_ptr<Completion> completion;
    SequenceBlocks blocks;
    TextStream text;
    std::vector<int32_t> tokens;  // prompt and what was drawn
    int64_t computed = 0;         // of tokens: keys and values are in the cache
    int64_t planned = 0;          // of them in this step

    const CompletionRequest& request() const { return completion->request(); }
    bool scores_prompt() const { return request().echo && request().logprobs >= 0; }
    bool ended = false;
  };

  void Run(const std::stop_token& stop);
  void TakeIn();
  bool Begin(const std::shared_ptr<Completion>& completion);
  void DropCancelled();
  void Plan();
  void Step();
  void Deliver(std::vector<std::span<const float>> logits);
  void ScorePrompt(Sequence& sequence, int64_t at, std::span<const float> logits);
  void Draw(Sequence& sequence, std::span<const float> logits);
  void End(Sequence& sequence, FinishReason reason, std::optional<Error> error = std::nullopt);
  void EndAll(const Error& error);
  void Publish();
  int64_t Capacity(const CompletionRequest& request) const;

  const std::unique_ptr<ServeEngine> engine_;
  const SchedulerOptions options_;
  BlockPool pool_;
  std::list<Sequence> running_;  // by weights, so that rows of one model are neighbours
  uint64_t scored_ = 0;          // numbers prompts whose blocks are not shared

  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<std::shared_ptr<Completion>> queue_;
  bool stopped_ = false;
  Stats stats_;          // under mutex_
  Stats counted_;        // the thread's own
  std::jthread thread_;  // last: it uses everything above
};

}  // namespace signum::client
