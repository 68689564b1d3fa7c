#include "client/node/serve/scheduler.h"

#include <algorithm>
#include <iterator>

#include "gpu/model/generate.h"

namespace signum::client {
namespace {

Error Stopping() { return Fail(Errc::kUnavailable, "stopping", "the node is stopping"); }

}  // namespace

Scheduler::Scheduler(std::unique_ptr<ServeEngine> engine, const SchedulerOptions& options)
    : engine_(std::move(engine)),
      options_(options),
      pool_(engine_->options().blocks, engine_->options().block_tokens) {
  Publish();
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

Scheduler::~Scheduler() { Stop(); }

void Scheduler::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

// Tokens that the cache must hold for a request: the last one drawn is never computed.
int64_t Scheduler::Capacity(const CompletionRequest& request) const {
  return static_cast<int64_t>(request.prompt.size()) + std::max<int64_t>(0, request.max_tokens - 1);
}

Result<void> Scheduler::Submit(std::shared_ptr<Completion> completion) {
  const int64_t size = pool_.block_tokens();
  const int64_t capacity = Capacity(completion->request());
  if ((capacity + size - 1) / size > pool_.total()) {
    return Fail(Errc::kInvalid, "cache_too_small",
                "prompt and completion may take " + std::to_string(capacity) +
                    " tokens; the node's cache holds " + std::to_string(pool_.total() * size) +
                    " (--kv-cache)");
  }
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return Stopping();
    if (queue_.size() >= options_.max_queued) {
      return Fail(Errc::kUnavailable, "queue_full",
                  std::to_string(queue_.size()) + " requests are waiting: try again later");
    }
    queue_.push_back(std::move(completion));
    stats_.queued = queue_.size();
  }
  wake_.notify_one();
  return {};
}

Scheduler::Stats Scheduler::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void Scheduler::Publish() {
  counted_.running = running_.size();
  counted_.blocks = static_cast<uint64_t>(pool_.total());
  counted_.blocks_used = static_cast<uint64_t>(pool_.used());
  const std::lock_guard lock(mutex_);
  counted_.queued = queue_.size();
  stats_ = counted_;
}

void Scheduler::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex_);
      if (running_.empty()) wake_.wait(lock, stop, [this] { return !queue_.empty(); });
    }
    if (stop.stop_requested()) break;
    DropCancelled();
    TakeIn();
    if (!running_.empty()) Step();
    Publish();
  }
  EndAll(Stopping());
  Publish();
}

// ---- in

void Scheduler::TakeIn() {
  while (running_.size() < options_.max_sequences) {
    std::shared_ptr<Completion> next;
    {
      const std::lock_guard lock(mutex_);
      if (queue_.empty()) return;
      next = queue_.front();
    }
    if (!Begin(next)) return;  // waits until blocks are free
    const std::lock_guard lock(mutex_);
    queue_.pop_front();
  }
}

// The root of its blocks' keys is the delta's digest: another generation has another. A prompt that
// is scored is computed whole, so its blocks are its own.
bool Scheduler::Begin(const std::shared_ptr<Completion>& completion) {
  const CompletionRequest& request = completion->request();
  const bool scores = request.echo && request.logprobs >= 0;
  const std::string root =
      request.model->fingerprint + (scores ? "#" + std::to_string(++scored_) : "");
  SequenceBlocks blocks(pool_, root);
  const auto there = blocks.Begin(request.prompt, Capacity(request));
  if (!there) return false;
  counted_.prefix_tokens += static_cast<uint64_t>(*there);
  Sequence sequence{completion, std::move(blocks),
                    TextStream(request.model->tokenizer, request.stops), request.prompt, *there};
  if (request.drop_first_blank) sequence.text.DropFirstBlank();
  const auto same = std::find_if(running_.begin(), running_.end(), [&](const Sequence& other) {
    return other.request().model->weights == request.model->weights;
  });
  running_.insert(same, std::move(sequence));
  return true;
}

void Scheduler::DropCancelled() {
  for (Sequence& sequence : running_) {
    if (!sequence.completion->cancelled()) continue;
    ++counted_.cancelled;
    End(sequence, FinishReason::kFailed);
  }
  std::erase_if(running_, [](const Sequence& sequence) { return sequence.ended; });
  std::vector<std::shared_ptr<Completion>> gone;
  {
    const std::lock_guard lock(mutex_);
    const auto cancelled = [](const auto& completion) { return completion->cancelled(); };
    std::copy_if(queue_.begin(), queue_.end(), std::back_inserter(gone), cancelled);
    std::erase_if(queue_, [&](const auto& each) {
      return std::find(gone.begin(), gone.end(), each) != gone.end();
    });
  }
  counted_.cancelled += gone.size();
  for (const auto& completion : gone) completion->Finish(FinishReason::kFailed, "");
}

// ---- a step

// Those that decode have a row each; what is left goes to prompts. What does not fit waits.
void Scheduler::Plan() {
  int64_t left = engine_->options().step_rows;
  const auto plan = [&](bool decoding) {
    for (Sequence& sequence : running_) {
      const auto missing = static_cast<int64_t>(sequence.tokens.size()) - sequence.computed;
      if ((missing == 1) != decoding) continue;
      sequence.planned = std::min(missing, left);
      left -= sequence.planned;
    }
  };
  plan(true);
  plan(false);
}

void Scheduler::Step() {
  Plan();
  std::vector<SequenceStep> steps;
  for (const Sequence& sequence : running_) {
    if (sequence.planned == 0) continue;
    SequenceStep step;
    step.weights = sequence.request().model->weights.get();
    step.tokens =
        std::span(sequence.tokens)
            .subspan(static_cast<size_t>(sequence.computed), static_cast<size_t>(sequence.planned));
    step.position = sequence.computed;
    step.blocks = sequence.blocks.table();
    const bool last =
        sequence.computed + sequence.planned == static_cast<int64_t>(sequence.tokens.size());
    step.logits_from = sequence.scores_prompt() ? 0 : sequence.planned - (last ? 1 : 0);
    steps.push_back(step);
    counted_.rows += static_cast<uint64_t>(sequence.planned);
  }
  ++counted_.steps;
  auto logits = engine_->Step(steps);
  if (!logits) return EndAll(logits.error());
  Deliver(*std::move(logits));
}

void Scheduler::Deliver(std::vector<std::span<const float>> logits) {
  auto row = logits.begin();
  for (Sequence& sequence : running_) {
    if (sequence.planned == 0) continue;
    const int64_t begin = sequence.computed;
    sequence.computed += std::exchange(sequence.planned, 0);
    sequence.blocks.Filled(
        std::span(sequence.tokens).first(static_cast<size_t>(sequence.computed)));
    const bool last = sequence.computed == static_cast<int64_t>(sequence.tokens.size());
    if (sequence.scores_prompt()) {
      for (int64_t at = begin; at + 1 < sequence.computed; ++at) ScorePrompt(sequence, at, *row++);
      if (!last) ScorePrompt(sequence, sequence.computed - 1, *row++);
    }
    if (last) Draw(sequence, *row++);
  }
  std::erase_if(running_, [](const Sequence& sequence) { return sequence.ended; });
}

// The logits at `at` say how likely the next token of the prompt was.
void Scheduler::ScorePrompt(Sequence& sequence, int64_t at, std::span<const float> logits) {
  const auto next = static_cast<size_t>(at) + 1;
  if (next >= sequence.request().prompt.size()) return;
  TokenOutput output;
  output.token = sequence.request().prompt[next];
  output.logprob = LogprobOf(logits, output.token);
  output.top = TopLogprobs(logits, sequence.request().logprobs);
  sequence.completion->PushPrompt(std::move(output));
}

void Scheduler::Draw(Sequence& sequence, std::span<const float> logits) {
  const CompletionRequest& request = sequence.request();
  const auto drawn = static_cast<int64_t>(sequence.tokens.size() - request.prompt.size());
  if (drawn >= request.max_tokens) return End(sequence, FinishReason::kLength);
  TokenOutput output;
  const double uniform =
      UniformDraw(request.sampling.seed, 0, static_cast<uint64_t>(sequence.tokens.size()));
  output.token = SampleToken(logits, request.sampling, uniform);
  if (request.logprobs >= 0) {
    output.logprob = LogprobOf(logits, output.token);
    output.top = TopLogprobs(logits, request.logprobs);
  }
  const bool end = request.model->end_tokens.contains(output.token);
  if (!end) output.text = sequence.text.Push(output.token);
  sequence.tokens.push_back(output.token);
  ++counted_.tokens;
  sequence.completion->Push(std::move(output));
  if (end || sequence.text.stopped()) return End(sequence, FinishReason::kStop);
  if (drawn + 1 >= request.max_tokens) End(sequence, FinishReason::kLength);
}

// ---- out

void Scheduler::End(Sequence& sequence, FinishReason reason, std::optional<Error> error) {
  sequence.ended = true;
  ++counted_.finished;
  sequence.completion->Finish(reason, sequence.text.Finish(), std::move(error));
}

void Scheduler::EndAll(const Error& error) {
  for (Sequence& sequence : running_) End(sequence, FinishReason::kFailed, error);
  running_.clear();
  std::deque<std::shared_ptr<Completion>> waiting;
  {
    const std::lock_guard lock(mutex_);
    waiting.swap(queue_);
  }
  for (const auto& completion : waiting) completion->Finish(FinishReason::kFailed, "", error);
}

}  // namespace signum::client
