#include <nlohmann/json.hpp>

#include "client/capi/boundary.h"
#include "client/model_ref.h"
#include "client/pull.h"

namespace signum::client {
namespace {

struct PullRequest {
  RegistryOptions registry;
  ModelRef model;
  std::filesystem::path directory;
  std::string as, fidelity, trust_key;
};

Result<PullRequest> ReadRequest(const signum_pull_options& theirs) {
  const signum_pull_options given = ReadStruct(theirs);
  SIGNUM_TRY(NeedArgument(given.registry_url, "registry_url"));
  SIGNUM_TRY(NeedArgument(given.model, "model"));
  SIGNUM_TRY(NeedArgument(given.directory, "directory"));
  PullRequest out;
  out.registry.url = given.registry_url;
  out.registry.token = TextOr(given.token, "");
  out.registry.tls.ca_file = TextOr(given.ca_file, "");
  SIGNUM_TRY(UrlOrigin(out.registry.url));
  SIGNUM_ASSIGN(out.model, ModelRef::Parse(given.model));
  out.directory = given.directory;
  out.as = TextOr(given.as, "delta");
  out.fidelity = TextOr(given.fidelity, "onebit");
  out.trust_key = TextOr(given.trust_key, "");
  if (out.as != "delta" && out.as != "checkpoint") {
    return Fail(Errc::kInvalid, "bad_option", "as is '" + out.as + "': delta or checkpoint");
  }
  if (out.fidelity != "onebit" && out.fidelity != "exact") {
    return Fail(Errc::kInvalid, "bad_option",
                "fidelity is '" + out.fidelity + "': onebit or exact");
  }
  return out;
}

Result<nlohmann::json> Pull(const PullRequest& request) {
  const PullProgress quiet = [](std::string_view, uint64_t, uint64_t) {};
  Registry registry(request.registry);
  SIGNUM_ASSIGN(const auto targets, ResolvePull(registry, request.model, request.trust_key));
  auto out = nlohmann::json::array();
  for (const PullTarget& target : targets) {
    const auto place = PullDirectory(request.directory, request.model, target, request.as);
    SIGNUM_ASSIGN(const auto files,
                  request.as == "delta"
                      ? PullDelta(registry, target, place, quiet)
                      : PullCheckpoint(registry, target, request.fidelity, place, quiet));
    out.push_back(PulledToJson(target, files));
  }
  return {boost::system::in_place_value, std::move(out)};
}

}  // namespace
}  // namespace signum::client

using namespace signum::client;  // NOLINT: the C interface of that namespace
using signum::Result;

extern "C" {

signum_status signum_pull(const signum_pull_options* options, char** files_json) {
  return AtBoundary([&]() -> Result<void> {
    SIGNUM_TRY(NeedArgument(options, "options"));
    SIGNUM_TRY(CheckStructSize(options->struct_size, sizeof(*options), "signum_pull_options"));
    SIGNUM_ASSIGN(const PullRequest request, ReadRequest(*options));
    SIGNUM_ASSIGN(const nlohmann::json pulled, Pull(request));
    if (files_json != nullptr) *files_json = NewString(pulled.dump());
    return {};
  });
}

}  // extern "C"
