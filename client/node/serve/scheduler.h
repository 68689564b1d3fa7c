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
#include "client/node/serve/engine_metrics.h"
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
// lets go of what has ended. The queue is first come, first served. A request is taken in when
// there are cache blocks for its prompt, and one for each that runs; it takes more as it grows.
// When there are none left, the youngest gives all of its own back and waits at the head of the
// queue; what it had computed is computed again, which changes no bit of its answer. Thread-safe.
class Scheduler {
 public:
  // `metrics` may be null.
  Scheduler(std::unique_ptr<ServeEngine> engine, const SchedulerOptions& options,
            std::shared_ptr<EngineMetrics> metrics = nullptr);
  ~Scheduler();  // ends what runs with an error
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Ends everything and the thread; what is submitted later is refused. Idempotent.
  void Stop();

  // Errc::kUnavailable queue_full, stopping; kInvalid cache_too_small where it could never be taken
  // in.
  Result<void> Submit(std::shared_ptr<Completion> completion);

  EngineStats stats() const;
  const ServeEngine& engine() const { return *engine_; }

 private:
  // One completion that was taken from the queue. The thread's own.
  struct Sequence {
    Sequence(std::shared_ptr<Completion> whose, uint64_t number);

    const CompletionRequest& request() const { return completion->request(); }
    // Whether logprobs of its prompt are still to be given.
    bool scores_prompt() const {
      const auto all = static_cast<int64_t>(request().prompt.size()) - 1;
      return request().echo && request().logprobs >= 0 && scored < all;
    }

    std::shared_ptr<Completion> completion;
    uint64_t order;  // of arrival
    TextStream text;
    std::vector<int32_t> tokens;           // prompt and what was drawn
    std::optional<SequenceBlocks> blocks;  // none while it waits
    int64_t computed = 0;                  // of tokens: keys and values are in the cache
    int64_t planned = 0;                   // of them in this step
    int64_t scored = 0;                    // of the prompt: the next one's logprob was given
    bool scoring = false;                  // in this step
    bool ended = false;
    std::optional<std::chrono::steady_clock::time_point> last_token;
  };

  void Run(const std::stop_token& stop);
  void TakeIn();
  bool TakeFromQueue();
  bool Place();
  void DropCancelled();
  void ReserveBlocks();
  void Preempt(std::list<Sequence>::iterator victim);
  void Plan();
  void Step();
  void Deliver(std::vector<std::span<const float>> logits);
  void ScorePrompt(Sequence& sequence, int64_t at, std::span<const float> logits);
  void Draw(Sequence& sequence, std::span<const float> logits);
  void CountToken(Sequence& sequence);
  void End(Sequence& sequence, FinishReason reason, std::optional<Error> error = std::nullopt);
  void EndAll(const Error& error);
  void Publish();
  int64_t Capacity(const CompletionRequest& request) const;

  const std::unique_ptr<ServeEngine> engine_;
  const SchedulerOptions options_;
  const std::shared_ptr<EngineMetrics> metrics_;
  BlockPool pool_;
  std::list<Sequence> running_;  // by weights, so that rows of one model are neighbours
  std::list<Sequence> waiting_;  // by age: those that gave their blocks back, and the next in turn
  uint64_t taken_ = 0;           // numbers those that were taken from the queue
  uint64_t scored_ = 0;          // numbers prompts whose blocks are not shared

  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<std::shared_ptr<Completion>> queue_;
  bool stopped_ = false;
  EngineStats stats_;    // under mutex_
  EngineStats counted_;  // the thread's own
  std::jthread thread_;  // last: it uses everything above
};

}  // namespace signum::client
