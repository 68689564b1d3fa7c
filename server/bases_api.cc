#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "server/app.h"
#include "server/audit_log.h"
#include "server/change.h"
#include "server/fields.h"
#include "server/handler.h"
#include "server/http/conditional.h"
#include "server/principal.h"
#include "server/resources.h"
#include "server/serve_object.h"
#include "server/stored_models.h"
#include "server/upload_access.h"
#include "storage/base/name.h"
#include "storage/references.h"

namespace signum {
namespace {

// Bases are shared: whoever may read models may read them.
Result<void> RequireBaseReader(const http::Request& request) {
  if (Caller(request).role != Role::kAuditor) return {};
  return Fail(Errc::kDenied, "role_required", "an auditor's token reads audit and metrics alone");
}

// ---- creating

// The base of that name if it was made from this very upload: the request is repeated, because the
// answer to the first was lost (with the process, perhaps). nullopt where the name is free.
Result<std::optional<BaseRecord>> FindEarlier(const App& app, const std::string& name,
                                              const std::string& upload) {
  auto there = app.catalog.GetBase(name);
  if (there.has_value() && there->upload == upload) return std::optional(*std::move(there));
  if (there.has_value()) {
    return Fail(Errc::kConflict, "base_exists",
                "base '" + name + "' exists already; a base never changes: take another name");
  }
  if (there.error().code != Errc::kNotFound) return there.error();
  return std::optional<BaseRecord>();
}

uint64_t CountParameters(const CheckpointSource& checkpoint) {
  uint64_t parameters = 0;
  for (const TensorInfo& tensor : checkpoint.tensors()) parameters += tensor.elements();
  return parameters;
}

// What the base adds to the store. Where it found nothing there, that is what it stored; else also
// what an attempt left that did not live to its end, with this upload or another.
Result<uint64_t> BytesAdded(const App& app, const IngestedBase& ingested) {
  SIGNUM_ASSIGN(auto named, ObjectsOfRecipe(app.objects, ingested.recipe_digest));
  named.push_back(ingested.manifest_digest);
  uint64_t all = 0;
  for (const Digest& digest : std::set<Digest>(named.begin(), named.end())) {
    SIGNUM_ASSIGN(const auto info, app.objects.Describe(digest));
    all += info.stored_bytes;
  }
  if (ingested.stored_bytes == all) return all;
  return UnnamedBytes(app.objects, app.catalog, named);
}

// Stores the checkpoint and says of it what the catalog keeps.
Result<BaseRecord> StoreBase(App& app, const Checkpoint& checkpoint) {
  SIGNUM_ASSIGN(const auto ingested, IngestBase(app.objects, checkpoint, {}));
  BaseRecord base;
  base.digest = ingested.manifest_digest;
  base.recipe = ingested.recipe_digest;
  base.upload_bytes = ingested.hashed.recipe.TotalBytes();
  SIGNUM_ASSIGN(base.stored_bytes, BytesAdded(app, ingested));
  base.parameters = CountParameters(checkpoint);
  base.tensors = checkpoint.tensors().size();
  base.architecture = ArchitectureOf(checkpoint.config_json());
  base.created = app.clock.Now();
  return base;
}

std::string EtagOf(const BaseRecord& base) { return http::StrongETag(base.digest.Text()); }

Result<http::Response> CreatedAnswer(const App& app, const http::Request& request,
                                     const BaseRecord& base) {
  SIGNUM_ASSIGN(const auto checkpoint, StoredCheckpoint::Open(app.objects, base.recipe));
  http::Response response = http::Json(201, BaseResource(base, checkpoint->recipe()).dump());
  response.Set("ETag", EtagOf(base));
  response.Set("Location", Link(request, BasePath(base.name)));
  return response;
}

Result<http::Response> CreateBase(App& app, const http::Request& request,
                                  const http::Params& params) {
  SIGNUM_TRY(RequireAdmin(request));
  SIGNUM_TRY(CheckName("base", params[0]));
  SIGNUM_ASSIGN(Fields body, Fields::Parse(request));
  SIGNUM_ASSIGN(const std::string upload, body.String("upload"));
  SIGNUM_ASSIGN(const bool allow_not_finite, body.Bool("allow_not_finite", false));
  SIGNUM_TRY(body.Done());
  SIGNUM_ASSIGN(const auto earlier, FindEarlier(app, params[0], upload));
  if (earlier) return CreatedAnswer(app, request, *earlier);
  SIGNUM_TRY(AccessUnusedUpload(app, request, upload));
  SIGNUM_ASSIGN(const auto checkpoint, OpenUploadedCheckpoint(app, upload, allow_not_finite));
  SIGNUM_TRY(app.uploads.CheckSpace(0));
  const auto hold = app.objects.HoldCollection();  // until the base's record names it all
  SIGNUM_ASSIGN(BaseRecord base, StoreBase(app, *checkpoint));
  base.name = params[0];
  base.creator = Caller(request).id;
  base.upload = upload;
  SIGNUM_TRY(app.catalog.CreateBase(base));
  (void)app.uploads.Remove(upload);  // where that fails, it expires
  Record(app, request, "base.create", base.name + " " + base.digest.Text());
  return CreatedAnswer(app, request, base);
}

// ---- reading

// The handlers that read stored checkpoints share what is open.
class BaseReader {
 public:
  explicit BaseReader(App& app) : app_(app), models_(app.objects, app.catalog) {}

  Result<http::Response> List(const http::Request& request, const http::Params&) {
    SIGNUM_TRY(RequireBaseReader(request));
    SIGNUM_ASSIGN(const Page page, PageOf(request));
    SIGNUM_ASSIGN(const auto bases, app_.catalog.ListBases(page.after, page.limit));
    nlohmann::json items = nlohmann::json::array();
    for (const BaseRecord& base : bases) {
      SIGNUM_ASSIGN(const auto checkpoint, models_.OpenCheckpoint(base.recipe));
      items.push_back(BaseResource(base, checkpoint->recipe()));
    }
    return ListResponse("bases", std::move(items), page, bases.empty() ? "" : bases.back().name);
  }

  Result<http::Response> Get(const http::Request& request, const http::Params& params) {
    SIGNUM_TRY(RequireBaseReader(request));
    SIGNUM_ASSIGN(const BaseRecord base, app_.catalog.GetBase(params[0]));
    SIGNUM_ASSIGN(const auto checkpoint, models_.OpenCheckpoint(base.recipe));
    return ShowJson(request, BaseResource(base, checkpoint->recipe()).dump(), EtagOf(base));
  }

  Result<http::Response> Manifest(const http::Request& request, const http::Params& params) {
    SIGNUM_TRY(RequireBaseReader(request));
    SIGNUM_ASSIGN(const BaseRecord base, app_.catalog.GetBase(params[0]));
    SIGNUM_ASSIGN(auto bytes, app_.objects.Open(base.digest));
    return ServeDigested(request, std::move(bytes), base.digest, "application/json");
  }

  Result<http::Response> File(const http::Request& request, const http::Params& params) {
    SIGNUM_TRY(RequireBaseReader(request));
    SIGNUM_ASSIGN(const BaseRecord base, app_.catalog.GetBase(params[0]));
    SIGNUM_ASSIGN(const auto checkpoint, models_.OpenCheckpoint(base.recipe));
    SIGNUM_ASSIGN(auto bytes, checkpoint->OpenFile(params[1]));
    const Digest digest = checkpoint->recipe().Find(params[1])->digest;
    return ServeDigested(request, std::move(bytes), digest, ContentTypeOf(params[1]));
  }

 private:
  App& app_;
  StoredModels models_;
};

}  // namespace

void AddBaseRoutes(http::Router& router, App& app) {
  const auto reader = std::make_shared<BaseReader>(app);
  const auto add = [&](const char* pattern, auto method) {
    router.Add({"GET", pattern,
                Answer([reader, method](const http::Request& request, const http::Params& params) {
                  return (*reader.*method)(request, params);
                })});
  };
  router.Add({"POST", "/v1/bases/{base}", Change(app, "base.create", CreateBase)});
  add("/v1/bases", &BaseReader::List);
  add("/v1/bases/{base}", &BaseReader::Get);
  add("/v1/bases/{base}/manifest", &BaseReader::Manifest);
  add("/v1/bases/{base}/files/{path...}", &BaseReader::File);
}

}  // namespace signum
