#include "client/model_ref.h"

#include "storage/base/name.h"

namespace signum::client {

Result<ModelRef> ModelRef::Parse(std::string_view text) {
  ModelRef out;
  const size_t slash = text.find('/');
  out.tenant = text.substr(0, slash);
  SIGNUM_TRY(CheckName("tenant", out.tenant));
  if (slash == text.npos) return out;
  const std::string_view rest = text.substr(slash + 1);
  const size_t at = rest.find('@');
  out.model = rest.substr(0, at);
  SIGNUM_TRY(CheckName("model", out.model));
  if (at == rest.npos) return out;
  out.version = rest.substr(at + 1);
  SIGNUM_TRY(CheckName("version", out.version));
  return out;
}

Result<ModelRef> ModelRef::ParseModel(std::string_view text) {
  SIGNUM_ASSIGN(ModelRef out, Parse(text));
  if (out.model.empty()) {
    return Fail(Errc::kInvalid, "bad_name",
                "'" + std::string(text) + "' names a tenant only; TENANT/MODEL is needed");
  }
  return out;
}

}  // namespace signum::client
