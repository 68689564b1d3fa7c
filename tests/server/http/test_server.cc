#include "tests/server/http/test_server.h"

#include <stdexcept>

namespace signum::http::test {
namespace {

using Opened = std::variant<std::unique_ptr<BodySink>, Response>;

Response Echo(const Request& request, const Params& params) {
  std::string text = params[0] + "|" + params[1] + "|" + request.base_url;
  for (const auto& [key, value] : request.query) text += "|" + key + "=" + value;
  return Json(200, text);
}

Response Throw(const Request&, const Params&) { throw std::runtime_error("a bug"); }

Opened Closed(const Request& request, const Params&) {
  return Problem(Fail(Errc::kConflict, "wrong_offset", "offset is 5"), request.id);
}

}  // namespace

Router ServerTest::Routes() {
  Router router;
  AddPlainRoutes(&router);
  AddByteRoutes(&router);
  AddBodyRoutes(&router);
  AddWaitRoutes(&router);
  return router;
}

void ServerTest::AddPlainRoutes(Router* router) {
  const Handler hello = [](const Request&, const Params&) { return Json(200, "{}"); };
  const Handler block = [this](const Request&, const Params&) {
    blocked_.Set(++blocked_count_);
    release_.WaitUntil([](bool released) { return released; });
    return Json(200, "\"released\"");
  };
  const Handler verified = [](const Request& request, const Params&) {
    return Json(200, request.client_verified ? "yes" : "no");
  };
  router->Add({"GET", "/hello", hello, 0, true});
  router->Add({"GET", "/verified", verified, 0, true});
  router->Add({"GET", "/echo/{name}/files/{path...}", Handler(Echo)});
  router->Add({"GET", "/throws", Handler(Throw)});
  router->Add({"GET", "/block", block});
}

void ServerTest::AddByteRoutes(Router* router) {
  const Handler viewed = [this](const Request& request, const Params&) {
    return ServeSource(request,
                       {std::make_shared<MemorySource>(blob_), "\"v1\"", "sha-256=:AAAA:"});
  };
  const Handler read = [this](const Request& request, const Params&) {
    return ServeSource(request,
                       {std::make_shared<ReadOnlySource>(blob_), "\"v1\"", "", "text/plain", true});
  };
  const Handler corrupt = [this](const Request& request, const Params& params) {
    auto source = std::make_shared<ReadOnlySource>(blob_, std::stoull(params[0]));
    return ServeSource(request, {std::move(source), "\"v1\"", ""});
  };
  router->Add({"GET", "/viewed", viewed});
  router->Add({"GET", "/read", read});
  router->Add({"GET", "/corrupt/{from}", corrupt});
}

void ServerTest::AddBodyRoutes(Router* router) {
  const Handler echo = [](const Request& request, const Params&) {
    return Json(200, request.body);
  };
  const SinkHandler sink = [this](const Request&, const Params&) -> Opened {
    return std::make_unique<LoggingSink>(sink_log_, sink_fails_after_);
  };
  router->Add({"POST", "/echo", echo, 100'000});
  router->Add({"PUT", "/sink", sink});
  router->Add({"PUT", "/closed", SinkHandler(Closed)});
}

void ServerTest::AddWaitRoutes(Router* router) {
  const Handler wait = [this](const Request& request, const Params&) {
    Pending pending;
    pending.subscribe = bell_.subscribe();
    const auto ms = request.Query("ms").value_or("10000");
    pending.timeout = std::chrono::milliseconds(std::stoi(std::string(ms)));
    pending.poll = [this](bool timed_out) -> std::optional<Response> {
      ++polls_;
      const int news = news_.Get();
      if (news == 0 && !timed_out) return std::nullopt;
      return Json(200, std::to_string(news));
    };
    Response response;
    response.body = std::move(pending);
    return response;
  };
  const Handler events = [this](const Request&, const Params&) {
    EventStream stream;
    stream.subscribe = bell_.subscribe();
    stream.next = [this, last = 0]() mutable -> std::optional<std::string> {
      const int news = news_.Get();
      if (news < 0) return std::nullopt;
      if (news == last) return "";
      last = news;
      return "data: " + std::to_string(news) + "\n\n";
    };
    Response response;
    response.Set("Content-Type", "text/event-stream");
    response.body = std::move(stream);
    return response;
  };
  router->Add({"GET", "/wait", wait});
  router->Add({"GET", "/events", events});
}

}  // namespace signum::http::test
