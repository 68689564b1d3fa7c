#pragma once

#include <string>

#include "server/app.h"
#include "server/http/router.h"
#include "storage/base/result.h"

namespace signum {

// What the handlers of a group are written as, so that a table of routes reads as one.
using ApiFunction = Result<http::Response> (*)(App&, const http::Request&, const http::Params&);

// A question: `function`, its error as a problem document.
http::Handler Ask(App& app, ApiFunction function);

// A change of state with a JSON body or none: as Ask, but runs once for each Idempotency-Key, and a
// refused one is written to the audit log as `action`. A change that worked records itself (Record
// in audit_log.h), because only it knows what it did.
http::Handler Change(App& app, std::string action, ApiFunction function,
                     KeptResponse kept = nullptr);

}  // namespace signum
