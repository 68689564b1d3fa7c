#pragma once

#include <string_view>

#include "server/app.h"
#include "server/http/message.h"

namespace signum {

// Appends one line to the audit log: the caller of `request` did `action` ("alias.set") to `target`
// ("acme/chat@live -> 3") with `result` ("ok", or the code of the problem that refused it). Every
// change that a handler makes is recorded once, after it is durable; heartbeats of nodes and bytes
// of uploads are not changes. A line that cannot be written is an error in the server's log: the
// change stands.
void Record(App& app, const http::Request& request, std::string_view action,
            std::string_view target, std::string_view result = "ok");

}  // namespace signum
