#include "client/node/serve/scheduler.h"

#include <algorithm>
#include <iterator>

#include "gpu/model/generate.h"

namespace signum::client {
namespace {

Error Stopping() { return Fail(Errc::kUnavailable, "stopping", "the node is stopping"); }

double SecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

RequestEnd EndOf(FinishReason reason, bool cancelled) {
  if (reason == FinishReason::kStop) return RequestEnd::kStop;
  if (reason == FinishReason::kLength) return RequestEnd::kLength;
  return cancelled ? RequestEnd::kCancelled : RequestEnd::kFailed;
}

}  // namespace

Scheduler::Sequence::Sequence(std::shared_ptr<Completion> whose, uint64_t number)
    : completion(std::move(whose)),
      order(number),
      text(request().model->tokenizer, request().stops),
      tokens(request().prompt) {
  if (request().drop_first_blank) text.DropFirstBlank();
}

Scheduler::Scheduler(std::unique_ptr<ServeEngine> engine, const SchedulerOptions& options,
                     std::shared_ptr<EngineMetrics> metrics)
    : engine_(std::move(engine)),
      options_(options),
      metrics_(std::move(metrics)),
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
    ++stats_.queued;
  }
  wake_.notify_one();
  return {};
}

EngineStats Scheduler::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void Scheduler::Publish() {
  counted_.running = running_.size();
  counted_.blocks = static_cast<uint64_t>(pool_.total());
  counted_.blocks_used = static_cast<uint64_t>(pool_.used());
  const std::lock_guard lock(mutex_);
  counted_.queued = queue_.size() + waiting_.size();
  stats_ = counted_;
  if (metrics_ != nullptr) metrics_->Publish(counted_);
}

void Scheduler::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex_);
      const bool idle = running_.empty() && waiting_.empty();
      if (idle) wake_.wait(lock, stop, [this] { return !queue_.empty(); });
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
    if (waiting_.empty() && !TakeFromQueue()) return;
    if (!Place()) return;  // waits until blocks are free
  }
}

bool Scheduler::TakeFromQueue() {
  const std::lock_guard lock(mutex_);
  if (queue_.empty()) return false;
  waiting_.emplace_back(std::move(queue_.front()), taken_++);
  queue_.pop_front();
  counted_.prompt_tokens += waiting_.back().tokens.size();
  return true;
}

// Gives the first that waits blocks for its tokens, where that leaves one for each that runs. The
// root of the blocks' keys is the delta's digest: another generation has another. A prompt that is
// scored is computed whole, so its blocks are its own.
bool Scheduler::Place() {
  Sequence& next = waiting_.front();
  const CompletionRequest& request = next.request();
  const bool fresh = next.tokens.size() == request.prompt.size();
  const std::string root =
      request.model->fingerprint + (next.scores_prompt() ? "#" + std::to_string(++scored_) : "");
  next.blocks.emplace(pool_, root);
  const auto there = next.blocks->Begin(next.tokens, static_cast<int64_t>(next.tokens.size()));
  if (!there || pool_.available() < static_cast<int64_t>(running_.size())) {
    next.blocks.reset();
    return false;
  }
  if (fresh) counted_.prefix_tokens += static_cast<uint64_t>(*there);
  next.computed = *there;
  const auto same = std::find_if(running_.begin(), running_.end(), [&](const Sequence& other) {
    return other.request().model->weights == request.model->weights;
  });
  running_.splice(same, waiting_, waiting_.begin());
  return true;
}

void Scheduler::DropCancelled() {
  for (std::list<Sequence>* sequences : {&running_, &waiting_}) {
    for (Sequence& sequence : *sequences) {
      if (!sequence.completion->cancelled()) continue;
      ++counted_.cancelled;
      End(sequence, FinishReason::kFailed);
    }
    std::erase_if(*sequences, [](const Sequence& sequence) { return sequence.ended; });
  }
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
  for (const auto& completion : gone) {
    completion->Finish(FinishReason::kFailed, "");
    if (metrics_ != nullptr)
      metrics_->Ended(RequestEnd::kCancelled, SecondsSince(completion->request().asked));
  }
}

// ---- a step

// Blocks for the tokens there are, the oldest first; where there are none, the youngest gives its
// own. The oldest always gets what it needs: alone it fits, or it would not have been accepted.
void Scheduler::ReserveBlocks() {
  std::vector<std::list<Sequence>::iterator> by_age;
  for (auto it = running_.begin(); it != running_.end(); ++it) by_age.push_back(it);
  std::sort(by_age.begin(), by_age.end(),
            [](const auto& a, const auto& b) { return a->order < b->order; });
  for (size_t i = 0; i < by_age.size();) {
    if (by_age[i]->blocks->Grow(static_cast<int64_t>(by_age[i]->tokens.size()))) {
      ++i;
      continue;
    }
    Preempt(by_age.back());
    by_age.pop_back();
  }
}

void Scheduler::Preempt(std::list<Sequence>::iterator victim) {
  victim->blocks.reset();
  victim->computed = 0;
  ++counted_.preempted;
  const auto younger = std::find_if(waiting_.begin(), waiting_.end(), [&](const Sequence& other) {
    return other.order > victim->order;
  });
  waiting_.splice(younger, running_, victim);
}

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
  ReserveBlocks();
  Plan();
  std::vector<SequenceStep> steps;
  for (Sequence& sequence : running_) {
    if (sequence.planned == 0) continue;
    SequenceStep step;
    step.weights = sequence.request().model->weights.get();
    step.tokens =
        std::span(sequence.tokens)
            .subspan(static_cast<size_t>(sequence.computed), static_cast<size_t>(sequence.planned));
    step.position = sequence.computed;
    step.blocks = sequence.blocks->table();
    const bool last =
        sequence.computed + sequence.planned == static_cast<int64_t>(sequence.tokens.size());
    sequence.scoring = sequence.scores_prompt();
    step.logits_from = sequence.scoring ? 0 : sequence.planned - (last ? 1 : 0);
    steps.push_back(step);
    counted_.rows += static_cast<uint64_t>(sequence.planned);
  }
  ++counted_.steps;
  auto logits = engine_->Step(steps);
  counted_.failed = engine_->failed();
  if (!logits) {
    Publish();  // before anybody hears of it
    return EndAll(logits.error());
  }
  Deliver(*std::move(logits));
}

void Scheduler::Deliver(std::vector<std::span<const float>> logits) {
  auto row = logits.begin();
  for (Sequence& sequence : running_) {
    if (sequence.planned == 0) continue;
    const int64_t begin = sequence.computed;
    sequence.computed += std::exchange(sequence.planned, 0);
    sequence.blocks->Filled(
        std::span(sequence.tokens).first(static_cast<size_t>(sequence.computed)));
    const bool last = sequence.computed == static_cast<int64_t>(sequence.tokens.size());
    if (sequence.scoring) {
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
  if (at < sequence.scored || next >= sequence.request().prompt.size()) return;
  sequence.scored = at + 1;
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
  CountToken(sequence);
  sequence.completion->Push(std::move(output));
  if (end || sequence.text.stopped()) return End(sequence, FinishReason::kStop);
  if (drawn + 1 >= request.max_tokens) End(sequence, FinishReason::kLength);
}

void Scheduler::CountToken(Sequence& sequence) {
  ++counted_.tokens;
  if (metrics_ == nullptr) return;
  if (sequence.last_token) {
    metrics_->NextToken(SecondsSince(*sequence.last_token));
  } else {
    metrics_->FirstToken(SecondsSince(sequence.request().asked));
  }
  sequence.last_token = std::chrono::steady_clock::now();
}

// ---- out

void Scheduler::End(Sequence& sequence, FinishReason reason, std::optional<Error> error) {
  sequence.ended = true;
  sequence.blocks.reset();
  ++counted_.finished;
  if (metrics_ != nullptr) {
    metrics_->Ended(EndOf(reason, sequence.completion->cancelled()),
                    SecondsSince(sequence.request().asked));
  }
  sequence.completion->Finish(reason, sequence.text.Finish(), std::move(error));
}

void Scheduler::EndAll(const Error& error) {
  for (std::list<Sequence>* sequences : {&running_, &waiting_}) {
    for (Sequence& sequence : *sequences) End(sequence, FinishReason::kFailed, error);
    sequences->clear();
  }
  std::deque<std::shared_ptr<Completion>> waiting;
  {
    const std::lock_guard lock(mutex_);
    waiting.swap(queue_);
  }
  for (const auto& completion : waiting) completion->Finish(FinishReason::kFailed, "", error);
}

}  // namespace signum::client
