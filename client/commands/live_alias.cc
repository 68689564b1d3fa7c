#include "client/commands/live_alias.h"

#include <nlohmann/json.hpp>

namespace signum::client {

Result<Alias> ReadLive(Registry& registry, const ModelRef& ref) {
  Result<Alias> live = registry.GetAlias(ref.tenant, ref.model, "live");
  if (!live && live.error().reason == "unknown_alias") return Alias{};
  return live;
}

Result<void> MoveLive(const CommandContext& context, Registry& registry, const ModelRef& ref,
                      const Alias& read, uint64_t version) {
  SIGNUM_ASSIGN(const Alias now,
                registry.SetAlias(ref.tenant, ref.model, "live", version, read.etag));
  if (context.json) {
    PrintJson({{"tenant", ref.tenant},
               {"model", ref.model},
               {"alias", "live"},
               {"version", now.version},
               {"previous", now.previous}});
  } else {
    PrintText(ref.tenant + "/" + ref.model + ": live is " + std::to_string(now.version) +
              (read.version == 0 ? "" : ", was " + std::to_string(read.version)) + "\n");
  }
  return {};
}

}  // namespace signum::client
