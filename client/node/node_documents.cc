#include <nlohmann/json.hpp>

#include "client/node/node.h"

// What a node says of itself: its report to the registry, GET /v1/residency and /v1/models.

namespace signum::client {

using nlohmann::json;

namespace {

json ReportEntry(const LiveModel& live, std::string_view state) {
  return {{"tenant", live.tenant},
          {"model", live.model},
          {"version", live.version},
          {"digest", live.digest.Text()},
          {"state", state}};
}

json MemoryOf(const MemoryBudget& budget) {
  return {{"total", budget.total()}, {"used", budget.used()}, {"free", budget.free()}};
}

// Of the budget for deltas, and of the device as a whole; null without one.
json DeviceMemoryOf(const NodeOptions& options) {
  if (options.device_budget == nullptr) return nullptr;
  json out = MemoryOf(*options.device_budget);
  out["beside"] = options.device_budget->beside();
  const auto [total, free] = options.device_memory();
  out["device_total"] = total;
  out["device_free"] = free;
  return out;
}

json Describe(const LiveModel& live) {
  return {{"tenant", live.tenant},
          {"model", live.model},
          {"version", live.version},
          {"digest", live.digest.Text()},
          {"bytes", live.size},
          {"base", live.base},
          {"base_digest", live.base_digest.Text()}};
}

}  // namespace

// What is published counts as applied; a wish that is not met is named beside it, with the reason.
json Node::Report() const {
  json models = json::array();
  for (const GenerationStatus& status : residency_.Snapshot()) {
    if (status.state == GenerationState::kPublished) {
      models.push_back(ReportEntry(status.live, "applied"));
    }
  }
  for (const TargetStatus& target : targets_.Snapshot()) {
    if (target.state == TargetState::kApplied || target.state == TargetState::kListed) continue;
    // What is stored answers when it is asked for.
    const bool stored = target.state == TargetState::kStored;
    const char* state = stored ? "applied" : target.reason.empty() ? "loading" : "refused";
    json entry = ReportEntry(target.want, state);
    if (!target.reason.empty()) {
      entry["reason"] = (target.reason + ": " + target.message).substr(0, 900);
    }
    models.push_back(std::move(entry));
  }
  return {{"device", options_.device},
          {"memory", {{"free", places().free()}, {"total", places().total()}}},
          {"models", std::move(models)}};
}

std::string_view Node::PendingState(const TargetStatus& target) const {
  if (target.state == TargetState::kLoading && target.staging) {
    return GenerationStateName(GenerationState::kStaging);
  }
  if (target.state == TargetState::kStored && host_.Holds(target.want)) {
    return GenerationStateName(GenerationState::kHost);
  }
  return TargetStateName(target.state);
}

// What the host's memory holds copies of; null where models are used from there.
json Node::HostDocument() const {
  if (!has_device()) return nullptr;
  json out = json::array();
  for (const LiveModel& live : host_.Snapshot()) out.push_back(Describe(live));
  return out;
}

json Node::ResidencyDocument() const {
  json models = json::array();
  json retiring = json::array();
  for (const GenerationStatus& status : residency_.Snapshot()) {
    const bool published = status.state == GenerationState::kPublished;
    json entry = Describe(status.live);
    entry["state"] = published ? "applied" : GenerationStateName(status.state);
    entry["leases"] = status.leases;
    (published ? models : retiring).push_back(std::move(entry));
  }
  json pending = json::array();
  for (const TargetStatus& target : targets_.Snapshot()) {
    if (target.state == TargetState::kApplied) continue;
    json entry = Describe(target.want);
    entry["state"] = PendingState(target);
    entry["bytes_done"] = target.done;
    entry["failures"] = target.failures;
    entry["gave_up"] = target.gave_up;
    entry["reason"] = target.reason.empty() ? json(nullptr) : json(target.reason);
    entry["message"] = target.message.empty() ? json(nullptr) : json(target.message);
    pending.push_back(std::move(entry));
  }
  const Follower::State following = follower_->state();
  return {{"node", options_.name},
          {"device", options_.device},
          {"tenants", options_.tenants},
          {"guests", following.guests},
          {"seq", following.seq},
          {"registry",
           {{"url", options_.registry_url},
            {"reachable", following.reachable},
            {"error", following.error.empty() ? json(nullptr) : json(following.error)}}},
          {"memory", MemoryOf(*budget_)},
          {"device_memory", DeviceMemoryOf(options_)},
          {"host", HostDocument()},
          {"freed", residency_.freed_total()},
          {"models", std::move(models)},
          {"retiring", std::move(retiring)},
          {"pending", std::move(pending)}};
}

json Node::ModelsDocument() const {
  json data = json::array();
  const auto add = [&](const LiveModel& live) {
    data.push_back({{"id", live.Name()},
                    {"object", "model"},
                    {"created", 0},
                    {"owned_by", live.tenant},
                    {"version", live.version},
                    {"system_fingerprint", live.digest.Text()}});
  };
  for (const GenerationStatus& status : residency_.Snapshot()) {
    if (status.state == GenerationState::kPublished) add(status.live);
  }
  for (const TargetStatus& target : targets_.Snapshot()) {
    const bool here = residency_.Serves(target.want.tenant, target.want.model);
    const bool ready_to_load =
        target.state == TargetState::kStored || target.state == TargetState::kListed;
    if (ready_to_load && !here) add(target.want);
  }
  return {{"object", "list"}, {"data", std::move(data)}};
}

}  // namespace signum::client
