#pragma once

#include <string_view>

#include "client/node/serve/jinja/ast.h"

namespace signum::client::jinja {

// The statements of a template. Errc::kUnusable unsupported_template, naming the line and what is
// malformed, not known or not supported there: nothing that Jinja would do is passed over.
Result<Body> Parse(std::string_view source);

}  // namespace signum::client::jinja
