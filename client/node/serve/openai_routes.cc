#include "client/node/serve/openai_routes.h"

#include <openssl/crypto.h>
#include <strings.h>

#include <random>

#include "client/node/serve/openai_answer.h"
#include "client/node/serve/openai_request.h"
#include "storage/base/name.h"

namespace signum::client {
namespace {

std::string RandomId(const char* prefix) {
  std::random_device random;
  std::string id = prefix;
  for (int i = 0; i < 24; ++i) id += "0123456789abcdef"[random() & 15];
  return id;
}

// One request on its way: waits for its model, submits its prompts, collects the answer. Whoever
// drops it (the connection, when the client has gone) cancels what still runs.
class Call {
 public:
  Call(Node& node, Serving& serving, OpenAiRequest request)
      : node_(node), serving_(serving), request_(std::move(request)) {}
  ~Call() {
    for (const auto& completion : completions_) completion->Cancel();
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // What wakes those who wait for it: news of the model first, then of the completions.
  std::shared_ptr<void> Subscribe(std::function<void()> wake) {
    auto on_model = node_.Subscribe(wake);
    auto on_tokens = bell_->Subscribe(std::move(wake));
    return std::make_shared<std::pair<std::shared_ptr<void>, std::shared_ptr<void>>>(
        std::move(on_model), std::move(on_tokens));
  }

  void AskAgain() { bell_->Ring(); }

  bool submitted() const { return answer_ != nullptr; }
  const OpenAiRequest& request() const { return request_; }
  OpenAiAnswer& answer() { return *answer_; }

  // Takes a lease and submits, if the model is here; false: it is still being loaded.
  Result<bool> TrySubmit() {
    SIGNUM_ASSIGN(auto found, FindModel());
    if (!found) return false;
    SIGNUM_ASSIGN(auto prompts, MakePrompts(request_, found->model));
    for (CompletionRequest& prompt : prompts) {
      prompt.lease = found->lease.Another();
      prompt.asked = asked_;
      auto completion = std::make_shared<Completion>(std::move(prompt), bell_, request_.stream);
      SIGNUM_TRY(found->model->scheduler->Submit(completion));
      completions_.push_back(std::move(completion));
    }
    answer_ = std::make_unique<OpenAiAnswer>(
        request_, *found->model, RandomId(request_.chat ? "chatcmpl-" : "cmpl-"), completions_);
    return true;
  }

 private:
  struct Found {
    std::shared_ptr<const ServedModel> model;
    Lease lease;
  };

  // tenant/model, or the name of a base that is loaded.
  Result<std::optional<Found>> FindModel() {
    const size_t slash = request_.model.find('/');
    if (slash == std::string::npos) {
      SIGNUM_ASSIGN(auto model, serving_.FindBase(request_.model));
      return std::optional<Found>({std::move(model), {}});
    }
    SIGNUM_ASSIGN(auto lease,
                  node_.Find(request_.model.substr(0, slash), request_.model.substr(slash + 1)));
    if (!lease) return std::optional<Found>();
    if ((*lease)->served == nullptr) return NotServed(**lease);
    auto model = (*lease)->served;
    return std::optional<Found>({std::move(model), *std::move(lease)});
  }

  static Error NotServed(const Generation& generation) {
    const std::string why =
        generation.not_served ? generation.not_served->message : "this node serves no models";
    return Fail(Errc::kUnusable, "not_served", generation.live.Name() + ": " + why);
  }

  Node& node_;
  Serving& serving_;
  const OpenAiRequest request_;
  const std::chrono::steady_clock::time_point asked_ = std::chrono::steady_clock::now();
  const std::shared_ptr<NewsBell> bell_ = std::make_shared<NewsBell>();
  std::vector<std::shared_ptr<Completion>> completions_;
  std::unique_ptr<OpenAiAnswer> answer_;
};

http::Response StreamOf(const std::shared_ptr<Call>& call) {
  http::Response response;
  response.Set("Content-Type", "text/event-stream");
  response.Set("Cache-Control", "no-store");
  http::EventStream events;
  events.subscribe = [call](std::function<void()> wake) {
    return call->Subscribe(std::move(wake));
  };
  events.next = [call, ended = std::make_shared<bool>(false)]() -> std::optional<std::string> {
    if (*ended) return std::nullopt;
    call->answer().Collect();
    std::string text = call->answer().Events();
    *ended = text.ends_with("data: [DONE]\n\n");
    if (*ended) call->AskAgain();  // for the end itself
    return text;
  };
  response.body = std::move(events);
  return response;
}

// What can be answered now; nothing while there is something to wait for.
std::optional<http::Response> Poll(const std::shared_ptr<Call>& call, bool timed_out) {
  if (!call->submitted()) {
    const Result<bool> submitted = call->TrySubmit();
    if (!submitted) return OpenAiError(submitted.error());
  }
  if (call->submitted() && call->request().stream) return StreamOf(call);
  if (call->submitted()) {
    OpenAiAnswer& answer = call->answer();
    answer.Collect();
    if (answer.error()) return OpenAiError(*answer.error());
    if (answer.finished()) {
      http::Response response = http::Json(200, DumpJson(answer.Whole()));
      response.Set("Cache-Control", "no-store");
      return response;
    }
  }
  if (!timed_out) return std::nullopt;
  const char* what = call->submitted() ? "the answer took too long" : "the model is still loading";
  return OpenAiError(Fail(Errc::kUnavailable, "timed_out", what));
}

http::Response Complete(Node& node, Serving& serving, const OpenAiOptions& options,
                        const http::Request& http_request, bool chat) {
  Result<OpenAiRequest> request = ParseOpenAiRequest(http_request.body, chat);
  if (!request) return OpenAiError(request.error());
  const auto call = std::make_shared<Call>(node, serving, *std::move(request));
  if (auto response = Poll(call, false)) return *std::move(response);
  http::Pending pending;
  pending.subscribe = [call](std::function<void()> wake) {
    return call->Subscribe(std::move(wake));
  };
  pending.poll = [call](bool timed_out) { return Poll(call, timed_out); };
  pending.timeout = options.answer_wait;
  http::Response response;
  response.body = std::move(pending);
  return response;
}

}  // namespace

void AddOpenAiRoutes(http::Router& router, Node& node, Serving& serving, OpenAiOptions options) {
  const auto add = [&](const char* pattern, bool chat) {
    http::Handler handler = [&node, &serving, options, chat](const http::Request& request,
                                                             const http::Params&) {
      return Complete(node, serving, options, request, chat);
    };
    router.Add({.method = "POST",
                .pattern = pattern,
                .handler = std::move(handler),
                .max_body = 8u << 20});
  };
  add("/v1/completions", false);
  add("/v1/chat/completions", true);
}

std::optional<http::Response> CheckApiKey(const http::Request& request, const std::string& key) {
  if (key.empty() || !request.path.starts_with("/v1/")) return std::nullopt;
  constexpr std::string_view kScheme = "bearer ";  // in any case (RFC 9110)
  std::string_view given = request.Header("authorization");
  const bool bearer = given.size() > kScheme.size() &&
                      strncasecmp(given.data(), kScheme.data(), kScheme.size()) == 0;
  given.remove_prefix(bearer ? kScheme.size() : given.size());
  if (given.size() == key.size() && CRYPTO_memcmp(given.data(), key.data(), key.size()) == 0) {
    return std::nullopt;
  }
  return OpenAiError(Fail(Errc::kUnauthorized, "invalid_api_key",
                          "the request carries no API key, or a wrong one (--api-key)"));
}

}  // namespace signum::client
