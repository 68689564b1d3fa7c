// Jobs, and following them.

#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/registry_call.h"
#include "client/sse.h"

namespace signum::client {

using nlohmann::json;

Result<json> Registry::ListJobs() { return GetList("/v1/jobs", "jobs"); }

Result<json> Registry::GetJob(const std::string& id) {
  return GetJson("/v1/jobs/" + EscapeSegment(id));
}

Result<json> Registry::CancelJob(const std::string& id) {
  return SendJson({.method = "DELETE", .path = "/v1/jobs/" + EscapeSegment(id)});
}

Result<Job> ParseJob(const json& document) {
  Job out;
  SIGNUM_ASSIGN(out.id, JsonString(document, "id"));
  SIGNUM_ASSIGN(out.state, JsonString(document, "state"));
  out.phase = JsonStringOr(document, "phase", "");
  out.tenant = JsonStringOr(document, "tenant", "");
  out.model = JsonStringOr(document, "model", "");
  out.version = JsonNumberOr(document, "version", 0);
  out.progress = JsonRealOr(document, "progress", 0);
  out.rate = JsonRealOr(document, "rate", 0);
  out.eta = JsonRealOr(document, "eta", -1);
  if (const auto error = document.find("error"); error != document.end() && error->is_object()) {
    out.error_code = JsonStringOr(*error, "code", "");
    out.error_message = JsonStringOr(*error, "message", "");
  }
  return out;
}

// Reads the job's events until the stream ends; true where that was its proper end.
Result<bool> Registry::ReadJobEvents(const std::string& id,
                                     const std::function<void(const Job&)>& on_change) {
  bool ended = false;
  SseParser parser([&](const SseEvent& event) -> Result<void> {
    const Result<Job> seen = ParseJob(json::parse(event.data, nullptr, false));
    if (event.event == "progress" && seen) on_change(*seen);
    if (event.event == "end") ended = true;
    return {};
  });
  HttpRequest request;
  request.url = "/v1/jobs/" + EscapeSegment(id) + "/events";
  request.headers.emplace_back("Accept", "text/event-stream");
  request.timeout = std::chrono::seconds{0};
  request.sink = [&](ConstBytes bytes) { return parser.Take(AsText(bytes)); };
  const Result<HttpResponse> answer = Send(request);
  if (!answer && !IsTransient(answer.error())) return answer.error();
  return ended;
}

Result<Job> Registry::FollowJob(const std::string& id,
                                const std::function<void(const Job&)>& on_change) {
  Backoff backoff(options_.patience);
  while (true) {
    SIGNUM_ASSIGN(const json document,
                  SendJson({.path = "/v1/jobs/" + EscapeSegment(id), .patient = true}));
    SIGNUM_ASSIGN(Job job, ParseJob(document));
    on_change(job);
    if (job.finished()) return job;
    SIGNUM_ASSIGN(const bool ended, ReadJobEvents(id, [&](const Job& seen) {
                    backoff.Reset();
                    on_change(seen);
                  }));
    if (ended) continue;
    // The stream broke off, or this registry has none: look again a little later.
    if (!SleepFor(backoff.Next().value_or(options_.patience.cap), options_.stop)) {
      return Fail(Errc::kCancelled, "cancelled", "stopped while job " + id + " runs");
    }
  }
}

}  // namespace signum::client
