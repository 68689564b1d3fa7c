#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>
#include <variant>

#include "server/app.h"
#include "server/audit_log.h"
#include "server/change.h"
#include "server/fields.h"
#include "server/handler.h"
#include "server/metrics.h"
#include "server/principal.h"
#include "server/resources.h"
#include "server/upload_access.h"
#include "server/upload_sink.h"

// Resumable uploads: tus 1.0.0 (https://tus.io/protocols/resumable-upload) on one URL for each
// file.

namespace signum {
namespace {

constexpr uint64_t kMaxCreateBody = 8 << 20;  // 10,000 files with long paths and digests

// IMF-fixdate, as Upload-Expires wants it.
std::string HttpDate(UnixMicros time) {
  const auto seconds = static_cast<std::time_t>(time / 1'000'000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[40];
  return {text, std::strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &utc)};
}

// ---- creating

Result<UploadFile> ReadFile(const nlohmann::json& item, size_t index) {
  SIGNUM_ASSIGN(Fields fields, Fields::Of(item, "files[" + std::to_string(index) + "]."));
  UploadFile file;
  SIGNUM_ASSIGN(file.path, fields.String("path"));
  SIGNUM_ASSIGN(file.size, fields.Number("size"));
  SIGNUM_ASSIGN(const auto declared, fields.OptionalString("sha256"));
  SIGNUM_TRY(fields.Done());
  if (declared) {
    const auto digest = Digest::FromText(*declared);
    if (digest.has_error()) return fields.Bad("sha256", "64 hex digits, with or without 'sha256:'");
    file.expected = *digest;
  }
  return file;
}

Result<std::vector<UploadFile>> ReadFiles(const http::Request& request) {
  SIGNUM_ASSIGN(Fields body, Fields::Parse(request));
  SIGNUM_ASSIGN(const nlohmann::json* items, body.Array("files"));
  SIGNUM_TRY(body.Done());
  std::vector<UploadFile> files;
  for (size_t i = 0; i < items->size(); ++i) {
    SIGNUM_ASSIGN(UploadFile file, ReadFile((*items)[i], i));
    files.push_back(std::move(file));
  }
  return files;
}

void SetUploadHeaders(const Upload& upload, http::Response* response) {
  response->Set("Tus-Resumable", std::string(kTusVersion));
  response->Set("Upload-Expires", HttpDate(upload.expires));
  response->Set("Cache-Control", "no-store");
}

// What is declared counts from here on, so nothing of it can be refused for want of quota later. An
// admin's upload counts for nobody until a version is made from it.
Result<Upload> CreateWithinQuota(App& app, const std::string& owner, const std::string& tenant,
                                 std::vector<UploadFile> files) {
  TenantUsage more;
  for (const UploadFile& file : files) more.bytes += file.size;
  Quotas::Hold hold;
  if (!tenant.empty()) {
    SIGNUM_ASSIGN(hold, app.quotas.Admit(tenant, more));
  }
  return app.uploads.Create(owner, tenant, std::move(files));
}

Result<http::Response> CreateUpload(App& app, const http::Request& request, const http::Params&) {
  SIGNUM_TRY(RequireUploader(request));
  SIGNUM_ASSIGN(auto files, ReadFiles(request));
  const Principal& caller = Caller(request);
  const std::string tenant = caller.IsAdmin() ? "" : caller.tenants.front();
  SIGNUM_ASSIGN(const Upload upload, CreateWithinQuota(app, caller.id, tenant, std::move(files)));
  Record(app, request, "upload.create", upload.id);
  http::Response response = http::Json(201, UploadResource(request, upload).dump());
  response.Set("Location", Link(request, UploadPath(upload.id)));
  SetUploadHeaders(upload, &response);
  return response;
}

// ---- looking

Result<http::Response> GetUpload(App& app, const http::Request& request,
                                 const http::Params& params) {
  SIGNUM_ASSIGN(const Upload upload, AccessUpload(app, request, params[0]));
  http::Response response = http::Json(200, UploadResource(request, upload).dump());
  SetUploadHeaders(upload, &response);
  return response;
}

// An upload and one of its files, as a file URL names them.
struct Target {
  Upload upload;
  uint64_t index = 0;
  const UploadFile& file() const { return upload.files[index]; }
};

Result<Target> FindTarget(App& app, const http::Request& request, const http::Params& params) {
  Target target;
  SIGNUM_ASSIGN(target.upload, AccessUpload(app, request, params[0]));
  if (!ParseNumber(params[1], &target.index) || target.index >= target.upload.files.size()) {
    return Fail(Errc::kNotFound, "unknown_file",
                "upload '" + params[0] + "' has no file '" + params[1] + "'");
  }
  return target;
}

// HEAD is the same without the body: what tus asks for before it resumes.
Result<http::Response> GetUploadFile(App& app, const http::Request& request,
                                     const http::Params& params) {
  SIGNUM_ASSIGN(const Target target, FindTarget(app, request, params));
  http::Response response =
      http::Json(200, UploadFileResource(request, target.upload, target.index).dump());
  SetUploadHeaders(target.upload, &response);
  response.Set("Upload-Offset", std::to_string(target.file().offset));
  response.Set("Upload-Length", std::to_string(target.file().size));
  return response;
}

http::Response TusOptions(std::string_view allow) {
  http::Response response;
  response.status = 204;
  response.Set("Tus-Resumable", std::string(kTusVersion));
  response.Set("Tus-Version", std::string(kTusVersion));
  response.Set("Tus-Extension", "expiration,termination");
  response.Set("Allow", std::string(allow));
  return response;
}

// ---- writing

using Opened = std::variant<std::unique_ptr<http::BodySink>, http::Response>;

Error TooLong(const UploadFile& file, uint64_t length) {
  return Fail(Errc::kTooLarge, "upload_too_large",
              "file '" + file.path + "' was declared with " + std::to_string(file.size) +
                  " bytes; " + std::to_string(length) + " more at offset " +
                  std::to_string(file.offset) + " go past that");
}

Result<uint64_t> ReadOffset(const http::Request& request) {
  uint64_t offset = 0;
  if (!ParseNumber(request.Header("upload-offset"), &offset)) {
    return Fail(Errc::kInvalid, "bad_header",
                "header Upload-Offset must be the number of bytes that are there already");
  }
  return offset;
}

// Everything that can be refused before a byte of the body is read.
Result<std::unique_ptr<http::BodySink>> OpenPatch(App& app, const http::Request& request,
                                                  const http::Params& params) {
  SIGNUM_ASSIGN(const Target target, FindTarget(app, request, params));
  SIGNUM_ASSIGN(const uint64_t offset, ReadOffset(request));
  SIGNUM_ASSIGN(auto writer, app.uploads.OpenWriter(target.upload.id, target.index, offset));
  if (request.content_length > target.file().size - offset) {
    return TooLong(target.file(), request.content_length);
  }
  SIGNUM_TRY(app.uploads.CheckSpace(request.content_length));
  auto answer = [upload = target.upload](const UploadFile& file) {
    http::Response response;
    response.status = 204;
    SetUploadHeaders(upload, &response);
    response.Set("Upload-Offset", std::to_string(file.offset));
    return response;
  };
  return std::make_unique<UploadSink>(std::move(writer), request.id, std::move(answer));
}

Result<std::unique_ptr<http::BodySink>> OpenPut(App& app, const http::Request& request,
                                                const http::Params& params) {
  SIGNUM_ASSIGN(const Target target, FindTarget(app, request, params));
  if (request.content_length > target.file().size) {
    return TooLong(target.file(), request.content_length);
  }
  SIGNUM_TRY(app.uploads.CheckSpace(request.content_length));
  if (target.file().offset > 0) SIGNUM_TRY(app.uploads.Restart(target.upload.id, target.index));
  SIGNUM_ASSIGN(auto writer, app.uploads.OpenWriter(target.upload.id, target.index, 0));
  auto answer = [request_id = request.id](const UploadFile& file) {
    if (file.offset < file.size) {
      return http::Problem(
          Fail(Errc::kUnusable, "size_mismatch",
               "file '" + file.path + "' was declared with " + std::to_string(file.size) +
                   " bytes; only " + std::to_string(file.offset) + " came"),
          request_id);
    }
    const nlohmann::json body = {{"path", file.path},
                                 {"size", file.size},
                                 {"offset", file.offset},
                                 {"sha256", file.digest ? file.digest->Text() : ""}};
    return http::Json(200, body.dump());
  };
  return std::make_unique<UploadSink>(std::move(writer), request.id, std::move(answer));
}

Opened Settle(App& app, Result<std::unique_ptr<http::BodySink>> sink,
              const http::Request& request) {
  if (sink.has_value()) return *std::move(sink);
  app.metrics.CountRefusal(sink.error().reason);
  return AsTus(http::Problem(sink.error(), request.id));
}

// 412 for another version of tus; one that is not named is taken for ours.
std::optional<http::Response> CheckTusVersion(const http::Request& request) {
  const auto version = request.Header("tus-resumable");
  if (version.empty() || version == kTusVersion) return std::nullopt;
  http::Response response = AsTus(http::Problem(
      Fail(Errc::kPrecondition, "unsupported_tus_version", "header Tus-Resumable must be 1.0.0"),
      request.id));
  response.Set("Tus-Version", std::string(kTusVersion));
  return response;
}

std::optional<http::Response> CheckPatchHeaders(const http::Request& request) {
  if (auto refusal = CheckTusVersion(request)) return refusal;
  if (request.Header("content-type") == "application/offset+octet-stream") return std::nullopt;
  return AsTus(http::ProblemStatus(415, "unsupported_media_type",
                                   "header Content-Type must be application/offset+octet-stream",
                                   request.id));
}

http::Handler SpeakingTus(http::Handler handler) {
  return [handler = std::move(handler)](const http::Request& request, const http::Params& params) {
    if (auto refusal = CheckTusVersion(request)) return *std::move(refusal);
    return AsTus(handler(request, params));
  };
}

// ---- giving up

Result<http::Response> DeleteUpload(App& app, const http::Request& request,
                                    const http::Params& params) {
  SIGNUM_ASSIGN(const Upload upload, AccessUnusedUpload(app, request, params[0]));
  SIGNUM_TRY(app.uploads.Remove(upload.id));
  Record(app, request, "upload.delete", upload.id);
  http::Response response;
  response.status = 204;
  response.Set("Tus-Resumable", std::string(kTusVersion));
  return response;
}

}  // namespace

void AddUploadRoutes(http::Router& router, App& app) {
  constexpr auto kUploads = "/v1/uploads";
  constexpr auto kUpload = "/v1/uploads/{id}";
  constexpr auto kFile = "/v1/uploads/{id}/files/{index}";
  auto patch = [&app](const http::Request& request, const http::Params& params) -> Opened {
    if (auto refusal = CheckPatchHeaders(request)) return *std::move(refusal);
    return Settle(app, OpenPatch(app, request, params), request);
  };
  auto put = [&app](const http::Request& request, const http::Params& params) -> Opened {
    return Settle(app, OpenPut(app, request, params), request);
  };
  router.Add({"POST", kUploads, Change(app, "upload.create", CreateUpload), kMaxCreateBody});
  router.Add({"GET", kUpload, Ask(app, GetUpload)});
  router.Add({"DELETE", kUpload, Change(app, "upload.delete", DeleteUpload)});
  router.Add({"GET", kFile, SpeakingTus(Ask(app, GetUploadFile))});
  router.Add({"PATCH", kFile, http::SinkHandler(std::move(patch))});
  router.Add({"PUT", kFile, http::SinkHandler(std::move(put))});
  // tus terminates the upload a URL belongs to; ours belong to a set, which is given up as a whole.
  router.Add({"DELETE", kFile, SpeakingTus(Change(app, "upload.delete", DeleteUpload))});
  const std::pair<const char*, const char*> methods[] = {
      {kUploads, "OPTIONS, POST"},
      {kUpload, "DELETE, GET, HEAD, OPTIONS"},
      {kFile, "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"}};
  for (const auto& [pattern, allow] : methods) {
    auto answer = [allow = allow](const http::Request&, const http::Params&) {
      return TusOptions(allow);
    };
    router.Add({"OPTIONS", pattern, http::Handler(answer)});
  }
}

}  // namespace signum
