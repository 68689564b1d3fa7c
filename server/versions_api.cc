#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "gpu/merged_adapter.h"
#include "server/app.h"
#include "server/audit_log.h"
#include "server/change.h"
#include "server/fields.h"
#include "server/handler.h"
#include "server/http/conditional.h"
#include "server/principal.h"
#include "server/resources.h"
#include "server/stored_models.h"
#include "server/upload_access.h"
#include "server/version_options.h"
#include "storage/base/name.h"

namespace signum {
namespace {

std::string Describe(const VersionRecord& version) {
  return version.tenant + "/" + version.model + "@" + std::to_string(version.version);
}

// ---- creating

// From an upload (with its base), or from the exact upload of another version (against the same
// base, unless one is named).
struct VersionRequest {
  std::string upload, base;
  uint64_t from_version = 0;
  VersionOptions options;
};

Result<VersionRequest> ReadRequest(const http::Request& request) {
  VersionRequest read;
  SIGNUM_ASSIGN(Fields body, Fields::Parse(request));
  if (body.Find("from_version") == nullptr) {
    SIGNUM_ASSIGN(read.upload, body.String("upload"));
    SIGNUM_ASSIGN(read.base, body.String("base"));
  } else {
    SIGNUM_ASSIGN(read.from_version, body.Number("from_version"));
    if (read.from_version == 0 || body.Find("upload") != nullptr) {
      return body.Bad("from_version", "the number of a version, without 'upload'");
    }
    SIGNUM_ASSIGN(const auto base, body.OptionalString("base"));
    read.base = base.value_or("");
  }
  SIGNUM_ASSIGN(read.options, VersionOptions::Read(body));
  SIGNUM_TRY(body.Done());
  return read;
}

// The base a request's body names: what is not there is the body's fault, not the URL's.
Result<BaseRecord> FindBase(const App& app, const std::string& name) {
  auto base = app.catalog.GetBase(name);
  if (base.has_value() || base.error().code != Errc::kNotFound) return base;
  return Fail(Errc::kUnusable, "unknown_base", "field 'base': there is no base '" + name + "'");
}

Result<void> CheckFits(const App& app, const BaseRecord& base, const Checkpoint& fine) {
  SIGNUM_ASSIGN(const auto stored, StoredCheckpoint::Open(app.objects, base.recipe));
  if (fine.is_adapter()) {
    SIGNUM_ASSIGN(const auto base_files, FilesOf(*stored));
    SIGNUM_TRY(MergeAdapter(base_files, fine));
    return {};
  }
  SIGNUM_ASSIGN(const auto config, stored->OpenFile("config.json"));
  SIGNUM_ASSIGN(const std::string base_config, ReadAll(*config, kMaxSafetensorsHeader));
  return CheckArchitecture(base_config, *stored, fine.config_json(), fine);
}

uint64_t TotalBytes(const Checkpoint& checkpoint) {
  uint64_t total = 0;
  for (const CheckpointFile& file : checkpoint.files()) total += file.bytes->size();
  return total;
}

// The version that is live now is what the new one follows; 0 where there is none.
Result<uint64_t> LiveVersion(const App& app, const std::string& tenant, const std::string& model) {
  const auto live = app.catalog.GetAlias(tenant, model, "live");
  if (live.has_value()) return live->version;
  if (live.error().code != Errc::kNotFound) return live.error();
  return 0;
}

// A version as it is asked for, whatever it is made from.
Result<VersionRecord> NewVersion(const App& app, const http::Request& request,
                                 const http::Params& params, const VersionOptions& options,
                                 const BaseRecord& base) {
  VersionRecord version;
  version.tenant = params[0];
  version.model = params[1];
  version.base = base.name;
  version.base_digest = base.digest;
  version.options_json = options.ToJson().dump();
  version.creator = Caller(request).id;
  SIGNUM_ASSIGN(version.parent, LiveVersion(app, version.tenant, version.model));
  return version;
}

// The tenant's own upload counts already; an admin's does from here on.
Result<VersionRecord> QueueVersion(App& app, const http::Request& request,
                                   const http::Params& params, const VersionRequest& asked,
                                   const BaseRecord& base, uint64_t upload_bytes, bool own_upload) {
  SIGNUM_ASSIGN(VersionRecord version, NewVersion(app, request, params, asked.options, base));
  version.upload = asked.upload;
  version.upload_bytes = upload_bytes;
  SIGNUM_ASSIGN(const auto hold,
                app.quotas.Admit(params[0], {own_upload ? 0 : upload_bytes, 1, 1}));
  SIGNUM_TRY(app.uploads.Pin(asked.upload));  // decides between two requests for one upload
  auto created = app.catalog.CreateVersion(version);
  if (created.has_error()) (void)app.uploads.Unpin(asked.upload);
  return created;
}

// The version of this model that the same request made before, where its answer was lost: its
// upload is pinned or used up now. nullopt where there is none, or it failed.
Result<std::optional<VersionRecord>> FindEarlier(const App& app, const http::Params& params,
                                                 const VersionRequest& asked) {
  const std::string options = asked.options.ToJson().dump();
  constexpr size_t kPageSize = 256;
  for (uint64_t after = 0;;) {
    const auto listed = app.catalog.ListVersions(params[0], params[1], after, kPageSize);
    if (listed.has_error() && listed.error().code != Errc::kNotFound) return listed.error();
    if (listed.has_error() || listed->empty()) return std::optional<VersionRecord>();
    for (const VersionRecord& version : *listed) {
      const bool same = version.upload == asked.upload && version.base == asked.base &&
                        version.options_json == options;
      if (same && version.state != VersionState::kFailed) return std::optional(version);
    }
    after = listed->back().version;
  }
}

http::Response AcceptedAnswer(const http::Request& request, const VersionRecord& version) {
  const std::string url = Link(request, VersionPath(version));
  const nlohmann::json body = {{"version", version.version},
                               {"job", version.job},
                               {"state", VersionStateName(version.state)},
                               {"url", url}};
  http::Response response = http::Json(202, body.dump());
  response.Set("Location", url);
  return response;
}

http::Response Accept(App& app, const http::Request& request, const VersionRecord& version) {
  Record(app, request, "version.create", Describe(version));
  return AcceptedAnswer(request, version);
}

// The version that a new one is made from. What is wrong with it is the body's fault.
Result<VersionRecord> FindSource(const App& app, const http::Params& params, uint64_t number) {
  auto source = app.catalog.GetVersion(params[0], params[1], number);
  if (source.has_error() && source.error().code == Errc::kNotFound) {
    return Fail(Errc::kUnusable, "unknown_version",
                "field 'from_version': " + source.error().message);
  }
  SIGNUM_TRY(source);
  const bool ended =
      source->state == VersionState::kReady || source->state == VersionState::kRejected;
  if (ended && source->exact_kept) return source;
  return Fail(Errc::kConflict, ended ? "exact_not_kept" : "version_not_ready",
              "field 'from_version': " + Describe(*source) +
                  (ended ? " was made with keep_exact false: its upload is gone"
                         : " is " + std::string(VersionStateName(source->state))));
}

// The new version owns the upload's objects as the old one does, from the moment it is queued.
Result<http::Response> CreateFromVersion(App& app, const http::Request& request,
                                         const http::Params& params, VersionRequest asked) {
  const auto hold = app.objects.HoldCollection();  // or a policy might free what it names
  SIGNUM_ASSIGN(const VersionRecord source, FindSource(app, params, asked.from_version));
  SIGNUM_ASSIGN(const BaseRecord base,
                FindBase(app, asked.base.empty() ? source.base : asked.base));
  SIGNUM_ASSIGN(const auto stored, StoredCheckpoint::Open(app.objects, *source.recipe));
  SIGNUM_ASSIGN(auto files, FilesOf(*stored));
  SIGNUM_ASSIGN(const auto checkpoint, Checkpoint::ParseFineTune(std::move(files)));
  SIGNUM_TRY(CheckFits(app, base, *checkpoint));
  SIGNUM_ASSIGN(const auto made, VersionOptions::FromJson(source.options_json));
  asked.options.allow_not_finite |= made.allow_not_finite;  // it was looked at, or not, then
  SIGNUM_ASSIGN(VersionRecord version, NewVersion(app, request, params, asked.options, base));
  version.from_version = source.version;
  version.recipe = source.recipe;
  version.exact_kept = true;
  version.upload_bytes = source.upload_bytes;
  SIGNUM_ASSIGN(const auto admitted, app.quotas.Admit(params[0], {version.upload_bytes, 1, 1}));
  SIGNUM_ASSIGN(version, app.catalog.CreateVersion(version));
  return Accept(app, request, version);
}

Result<http::Response> CreateVersion(App& app, const http::Request& request,
                                     const http::Params& params) {
  SIGNUM_TRY(RequirePublish(request, params[0]));
  SIGNUM_TRY(CheckName("tenant", params[0]));
  SIGNUM_TRY(CheckName("model", params[1]));
  SIGNUM_ASSIGN(const VersionRequest asked, ReadRequest(request));
  if (asked.from_version != 0) return CreateFromVersion(app, request, params, asked);
  SIGNUM_ASSIGN(const BaseRecord base, FindBase(app, asked.base));
  const auto upload = AccessUnusedUpload(app, request, asked.upload);
  if (upload.has_error()) {
    SIGNUM_ASSIGN(const auto earlier, FindEarlier(app, params, asked));
    if (!earlier) return upload.error();
    return AcceptedAnswer(request, *earlier);
  }
  SIGNUM_ASSIGN(const auto checkpoint,
                OpenUploadedCheckpoint(app, asked.upload, asked.options.allow_not_finite, true));
  SIGNUM_TRY(CheckFits(app, base, *checkpoint));
  SIGNUM_ASSIGN(const VersionRecord version,
                QueueVersion(app, request, params, asked, base, TotalBytes(*checkpoint),
                             upload->tenant == params[0]));
  return Accept(app, request, version);
}

// ---- reading

Result<http::Response> ListVersions(App& app, const http::Request& request,
                                    const http::Params& params) {
  SIGNUM_TRY(RequireRead(request, params[0]));
  SIGNUM_TRY(CheckName("tenant", params[0]));
  SIGNUM_TRY(CheckName("model", params[1]));
  SIGNUM_ASSIGN(const Page page, NumberedPageOf(request));
  SIGNUM_ASSIGN(const auto versions,
                app.catalog.ListVersions(params[0], params[1], page.AfterNumber(), page.limit));
  SIGNUM_ASSIGN(const auto aliases, app.catalog.ListAliases(params[0], params[1]));
  nlohmann::json items = nlohmann::json::array();
  for (const VersionRecord& version : versions) items.push_back(VersionResource(version, aliases));
  const std::string last = versions.empty() ? "" : std::to_string(versions.back().version);
  return ListResponse("versions", std::move(items), page, last);
}

struct Shown {
  VersionRecord version;
  std::string body, etag;
};

// The resource as it stands; its tag is a digest of it, so that it changes with anything in it.
Result<Shown> Show(const App& app, const http::Params& params) {
  Shown shown;
  SIGNUM_ASSIGN(shown.version, app.catalog.ResolveVersion(params[0], params[1], params[2]));
  SIGNUM_ASSIGN(const auto aliases, app.catalog.ListAliases(params[0], params[1]));
  shown.body = VersionResource(shown.version, aliases).dump();
  shown.etag = http::StrongETag(Sha256::Of(AsBytes(shown.body)).Hex().substr(0, 32));
  return shown;
}

Result<http::Response> GetVersion(App& app, const http::Request& request,
                                  const http::Params& params) {
  SIGNUM_TRY(RequireRead(request, params[0]));
  SIGNUM_ASSIGN(Shown shown, Show(app, params));
  return ShowJson(request, std::move(shown.body), shown.etag);
}

// ---- deleting

Result<http::Response> DeleteVersion(App& app, const http::Request& request,
                                     const http::Params& params) {
  SIGNUM_TRY(RequirePublish(request, params[0]));
  SIGNUM_ASSIGN(const Shown shown, Show(app, params));
  SIGNUM_TRY(CheckConditions(request, shown.etag));
  SIGNUM_TRY(app.catalog.DeleteVersion(params[0], params[1], shown.version.version));
  Record(app, request, "version.delete", Describe(shown.version));
  http::Response response;
  response.status = 204;
  return response;
}

}  // namespace

void AddVersionRoutes(http::Router& router, App& app) {
  constexpr auto kVersions = "/v1/tenants/{tenant}/models/{model}/versions";
  constexpr auto kVersion = "/v1/tenants/{tenant}/models/{model}/versions/{version}";
  router.Add({"POST", kVersions, Change(app, "version.create", CreateVersion)});
  router.Add({"GET", kVersions, Ask(app, ListVersions)});
  router.Add({"GET", kVersion, Ask(app, GetVersion)});
  router.Add({"DELETE", kVersion, Change(app, "version.delete", DeleteVersion)});
}

}  // namespace signum
