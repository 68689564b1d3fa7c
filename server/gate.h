#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "server/app.h"
#include "server/http/message.h"
#include "server/http/router.h"

namespace signum {

// Server::Hooks::gate: finds out who calls and puts the Principal into Request.caller, or answers
// 401. Only `Authorization: Bearer` counts; a token in a query string ends up in logs, so it is not
// looked at. With app.auth false (--no-auth, loopback alone) everyone is an admin, but a request
// that a foreign web page sends or that came in under a host name that is not loopback's is refused
// (403): a browser on the same machine is no way in.
//
// What is too much, of bad tokens from one address or of a tenant's requests, is 429
// (request_limits.h), and a change in read-only mode 503 "read_only".
//
// No authorization: what a caller may do, handlers say (principal.h). Routes that exist for
// nobody (404, 405), OPTIONS and the open ones pass with a Principal of no right at all.
std::function<std::optional<http::Response>(http::Request&, const http::Route*,
                                            const http::Params&)>
MakeGate(App& app);

// Routes that need no token: health, readiness, the document, the keys, the admin page itself.
bool IsOpenRoute(const http::Route& route);

}  // namespace signum
