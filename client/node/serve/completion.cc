#include "client/node/serve/completion.h"

namespace signum::client {

std::shared_ptr<void> NewsBell::Subscribe(std::function<void()> wake) {
  {
    const std::lock_guard lock(*mutex_);
    *wake_ = std::move(wake);
  }
  return {nullptr, [mutex = mutex_, slot = wake_](void*) {
            const std::lock_guard lock(*mutex);
            *slot = nullptr;
          }};
}

void NewsBell::Ring() {
  const std::lock_guard lock(*mutex_);
  if (*wake_) (*wake_)();
}

void Completion::Push(TokenOutput output) {
  {
    const std::lock_guard lock(mutex_);
    ++news_.generated;
    news_.tokens.push_back(std::move(output));
  }
  if (streamed_) bell_->Ring();
}

void Completion::PushPrompt(TokenOutput output) {
  const std::lock_guard lock(mutex_);
  news_.prompt.push_back(std::move(output));
}

void Completion::Finish(FinishReason reason, std::string rest, std::optional<Error> error) {
  request_.model.reset();  // whose weights would outlive the lease while a slow client reads
  request_.lease.Release();
  {
    const std::lock_guard lock(mutex_);
    news_.rest = std::move(rest);
    news_.error = std::move(error);
    news_.finish = reason;
  }
  bell_->Ring();
}

Completion::News Completion::Take() {
  const std::lock_guard lock(mutex_);
  News out = news_;
  news_.tokens.clear();
  news_.prompt.clear();
  news_.rest.clear();
  return out;
}

bool Completion::finished() const {
  const std::lock_guard lock(mutex_);
  return news_.finish != FinishReason::kNone;
}

}  // namespace signum::client
