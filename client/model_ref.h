#pragma once

#include <string>
#include <string_view>

#include "storage/base/result.h"

namespace signum::client {

// "tenant", "tenant/model" or "tenant/model@version", as typed on a command line. A version is a
// number or an alias.
struct ModelRef {
  std::string tenant, model, version;  // what is not there is empty

  // Errc::kInvalid "bad_name" names the part at fault.
  static Result<ModelRef> Parse(std::string_view text);
  // As Parse, but with a model: "bad_name" where there is none.
  static Result<ModelRef> ParseModel(std::string_view text);
};

}  // namespace signum::client
