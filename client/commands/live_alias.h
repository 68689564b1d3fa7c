#pragma once

#include "client/commands/command.h"
#include "client/model_ref.h"

namespace signum::client {

// The alias `live` of a model; version 0 and no ETag where it has none yet.
Result<Alias> ReadLive(Registry& registry, const ModelRef& ref);

// Moves `live` from what was read to `version`, and says so. Errc::kPrecondition where somebody
// else moved it in between.
Result<void> MoveLive(const CommandContext& context, Registry& registry, const ModelRef& ref,
                      const Alias& read, uint64_t version);

}  // namespace signum::client
