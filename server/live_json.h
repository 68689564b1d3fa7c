#pragma once

#include <nlohmann/json_fwd.hpp>

#include "server/http/message.h"
#include "storage/catalog.h"

namespace signum {

// What a node needs to know to run a version: an entry of `live`, and a change of `watch`.
nlohmann::json LiveEntry(const http::Request& request, const VersionRecord& version);

}  // namespace signum
