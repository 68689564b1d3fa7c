#include <algorithm>
#include <memory>
#include <utility>

#include "server/app.h"
#include "server/blob_access.h"
#include "server/handler.h"
#include "server/principal.h"
#include "server/serve_object.h"
#include "server/stored_models.h"

// The bytes of versions: delta files, manifests, files of rebuilt checkpoints, and objects by
// digest.

namespace signum {
namespace {

std::string Describe(const VersionRecord& version) {
  return "version " + std::to_string(version.version) + " of " + version.tenant + "/" +
         version.model;
}

Error NotReady(const VersionRecord& version) {
  return Fail(Errc::kConflict, "version_not_ready",
              Describe(version) + " is " + std::string(VersionStateName(version.state)) +
                  (version.error_message.empty() ? "" : ": " + version.error_message));
}

Error UnknownFile(const VersionRecord& version, const std::string& path) {
  return Fail(Errc::kNotFound, "unknown_file", Describe(version) + " has no file '" + path + "'");
}

enum class Fidelity { kOneBit, kExact };

Result<Fidelity> ReadFidelity(const http::Request& request) {
  const auto fidelity = request.Query("fidelity").value_or("onebit");
  if (fidelity == "onebit") return Fidelity::kOneBit;
  if (fidelity == "exact") return Fidelity::kExact;
  return Fail(Errc::kInvalid, "bad_query", "query parameter 'fidelity' must be exact or onebit");
}

class ArtifactReader {
 public:
  explicit ArtifactReader(App& app)
      : app_(app), models_(app.objects, app.catalog), access_(app.catalog, models_) {}

  Result<http::Response> Delta(const http::Request& request, const http::Params& params) {
    SIGNUM_ASSIGN(const VersionRecord version, ReadyVersion(request, params));
    SIGNUM_ASSIGN(auto bytes, app_.objects.Open(*version.delta));
    return ServeDigested(request, std::move(bytes), *version.delta, "application/octet-stream");
  }

  Result<http::Response> Manifest(const http::Request& request, const http::Params& params) {
    SIGNUM_ASSIGN(const VersionRecord version, ReadyVersion(request, params));
    SIGNUM_ASSIGN(auto bytes, app_.objects.Open(*version.manifest));
    return ServeDigested(request, std::move(bytes), *version.manifest, "application/json");
  }

  Result<http::Response> CheckpointFile(const http::Request& request, const http::Params& params) {
    SIGNUM_ASSIGN(const Fidelity fidelity, ReadFidelity(request));
    if (fidelity == Fidelity::kOneBit) {
      SIGNUM_ASSIGN(const VersionRecord version, ReadyVersion(request, params));
      return RebuiltFile(request, version, params[3]);
    }
    SIGNUM_ASSIGN(const VersionRecord version, KnownVersion(request, params));
    // The upload of what a gate rejected is as good as any.
    const bool whole =
        version.state == VersionState::kReady || version.state == VersionState::kRejected;
    return whole ? ExactFile(request, version, params[3]) : NotReady(version);
  }

  // Whether an object exists is not told to those who may not read it.
  Result<http::Response> Blob(const http::Request& request, const http::Params& params) {
    SIGNUM_ASSIGN(const Digest digest, Digest::FromText(params[0]));
    SIGNUM_ASSIGN(const bool allowed, access_.MayRead(Caller(request), digest));
    if (!allowed) {
      return Fail(Errc::kNotFound, "unknown_object", "there is no object " + digest.Text());
    }
    SIGNUM_ASSIGN(auto bytes, app_.objects.Open(digest));
    return ServeDigested(request, std::move(bytes), digest, "application/octet-stream", true);
  }

 private:
  Result<VersionRecord> KnownVersion(const http::Request& request, const http::Params& params) {
    SIGNUM_TRY(RequireRead(request, params[0]));
    return app_.catalog.ResolveVersion(params[0], params[1], params[2]);
  }

  Result<VersionRecord> ReadyVersion(const http::Request& request, const http::Params& params) {
    SIGNUM_ASSIGN(auto version, KnownVersion(request, params));
    if (version.state != VersionState::kReady) return NotReady(version);
    return version;
  }

  Result<http::Response> ExactFile(const http::Request& request, const VersionRecord& version,
                                   const std::string& path) {
    if (!version.exact_kept) {
      return Fail(Errc::kNotFound, "exact_not_kept",
                  Describe(version) + " was made with keep_exact false: only onebit is left");
    }
    SIGNUM_ASSIGN(const auto checkpoint, models_.OpenCheckpoint(*version.recipe));
    const RecipeFile* file = checkpoint->recipe().Find(path);
    if (file == nullptr) return UnknownFile(version, path);
    SIGNUM_ASSIGN(auto bytes, checkpoint->OpenFile(path));
    return ServeDigested(request, std::move(bytes), file->digest, ContentTypeOf(path));
  }

  // Computed as it is read; the digest is known because the job rebuilt and hashed every file.
  Result<http::Response> RebuiltFile(const http::Request& request, const VersionRecord& version,
                                     const std::string& path) {
    const auto file = std::find_if(version.rebuilt.begin(), version.rebuilt.end(),
                                   [&](const auto& rebuilt) { return rebuilt.path == path; });
    if (file == version.rebuilt.end()) return UnknownFile(version, path);
    SIGNUM_ASSIGN(const auto rebuilder, models_.OpenRebuilt(version));
    SIGNUM_ASSIGN(auto bytes, rebuilder->OpenFile(path));
    return ServeDigested(request, std::move(bytes), file->digest, ContentTypeOf(path));
  }

  App& app_;
  StoredModels models_;
  BlobAccess access_;
};

}  // namespace

void AddArtifactRoutes(http::Router& router, App& app) {
  const auto reader = std::make_shared<ArtifactReader>(app);
  const auto add = [&](std::string pattern, auto method) {
    router.Add({"GET", std::move(pattern),
                Answer([reader, method](const http::Request& request, const http::Params& params) {
                  return (*reader.*method)(request, params);
                })});
  };
  const std::string version = "/v1/tenants/{tenant}/models/{model}/versions/{version}";
  add(version + "/delta", &ArtifactReader::Delta);
  add(version + "/manifest", &ArtifactReader::Manifest);
  add(version + "/checkpoint/{path...}", &ArtifactReader::CheckpointFile);
  add("/v1/blobs/{digest}", &ArtifactReader::Blob);
}

}  // namespace signum
