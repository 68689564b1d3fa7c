#include "client/node/live_memory.h"

#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "storage/base/file.h"
#include "storage/format/canonical_json.h"

namespace signum::client {

using nlohmann::json;

Result<void> LiveMemory::Remember(const std::string& tenant,
                                  const std::vector<LiveModel>& live) const {
  json models = json::array();
  for (const LiveModel& model : live) models.push_back(LiveModelToJson(model));
  const std::string text = json{{"models", models}}.dump();
  return WriteFileAtomically(directory_ / (tenant + ".json"), AsBytes(text));
}

namespace {

Result<std::vector<LiveModel>> ParseMemory(const std::string& text, const std::string& tenant) {
  SIGNUM_ASSIGN(const json document, ParseJson(text));
  SIGNUM_ASSIGN(const json* models, JsonArray(document, "models"));
  std::vector<LiveModel> out;
  for (const json& item : *models) {
    // URLs were remembered as absolute; the base only serves to check them.
    SIGNUM_ASSIGN(LiveModel model, ParseLiveModel(item, "http://localhost/"));
    model.tenant = tenant;
    out.push_back(std::move(model));
  }
  return out;
}

}  // namespace

Result<std::vector<LiveModel>> LiveMemory::Recall(const std::string& tenant) const {
  const auto path = directory_ / (tenant + ".json");
  SIGNUM_ASSIGN(const std::string text, ReadFile(path, 64u << 20));
  Result<std::vector<LiveModel>> live = ParseMemory(text, tenant);
  if (live) return live;
  return Fail(Errc::kCorrupt, "bad_live_file", path.string() + ": " + live.error().message);
}

}  // namespace signum::client
