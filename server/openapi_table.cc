#include "server/openapi.h"

namespace signum {
namespace {

constexpr std::string_view kBytes = "application/octet-stream";
constexpr std::string_view kFile = "application/octet-stream application/json text/plain";
constexpr std::string_view kEvents = "text/event-stream";

constexpr std::string_view kAny = "any token";
constexpr std::string_view kAdmin = "admin";
constexpr std::string_view kAudit = "auditor, admin";
constexpr std::string_view kPublish = "publisher of the tenant, admin";
constexpr std::string_view kRead = "publisher or node of the tenant, admin";
constexpr std::string_view kUpload = "publisher, admin; its creator";
constexpr std::string_view kOpen;

#define SIGNUM_ONE_MODEL "/v1/tenants/{tenant}/models/{model}"
#define SIGNUM_ONE_VERSION SIGNUM_ONE_MODEL "/versions/{version}"
#define SIGNUM_ONE_ALIAS SIGNUM_ONE_MODEL "/aliases/{alias}"

// clang-format off
constexpr Operation kOperations[] = {
    // ---- uploads
    {"POST", "/v1/uploads", "uploads", "createUpload", "Declare the files of a checkpoint",
     "publisher, admin", "", "UploadRequest", 201, "Upload"},
    {"OPTIONS", "/v1/uploads", "uploads", "tusOptions", "What of tus is spoken", kOpen, "", "", 204, ""},
    {"GET", "/v1/uploads/{id}", "uploads", "getUpload", "How far an upload is", kUpload, "", "", 200, "Upload"},
    {"DELETE", "/v1/uploads/{id}", "uploads", "deleteUpload", "Give an upload up", kUpload, "", "", 204, ""},
    {"OPTIONS", "/v1/uploads/{id}", "uploads", "tusUploadOptions", "What of tus is spoken", kOpen, "", "", 204, ""},
    {"GET", "/v1/uploads/{id}/files/{index}", "uploads", "getUploadFile",
     "How far a file is; HEAD as tus has it: Upload-Offset, Upload-Length", kUpload, "", "", 200, "UploadFile"},
    {"PATCH", "/v1/uploads/{id}/files/{index}", "uploads", "appendUploadFile",
     "Append bytes at Upload-Offset (tus 1.0)", kUpload, "uploadOffset tusResumable", "application/offset+octet-stream?",
     204, ""},
    {"PUT", "/v1/uploads/{id}/files/{index}", "uploads", "putUploadFile", "The whole file at once",
     kUpload, "", "application/octet-stream?", 200, "UploadFile"},
    {"DELETE", "/v1/uploads/{id}/files/{index}", "uploads", "terminateUpload",
     "Give the whole upload up (tus termination)", kUpload, "", "", 204, ""},
    {"OPTIONS", "/v1/uploads/{id}/files/{index}", "uploads", "tusFileOptions", "What of tus is spoken",
     kOpen, "", "", 204, ""},

    // ---- bases
    {"GET", "/v1/bases", "bases", "listBases", "List bases", kAny, "limit after", "", 200, "BaseList"},
    {"POST", "/v1/bases/{base}", "bases", "createBase", "Make a base from a complete upload", kAdmin, "",
     "BaseRequest", 201, "Base"},
    {"GET", "/v1/bases/{base}", "bases", "getBase", "A base", kAny, "", "", 200, "Base"},
    {"GET", "/v1/bases/{base}/manifest", "bases", "getBaseManifest", "The base manifest: its tensors", kAny,
     "", "", 200, "BaseManifest"},
    {"GET", "/v1/bases/{base}/files/{path...}", "bases", "getBaseFile",
     "A file of the base, as it was uploaded", kAny, "", "", 200, kFile},

    // ---- versions and their artifacts
    {"GET", "/v1/tenants", "models", "listTenants", "Tenants that the token reaches", kAny, "limit after", "",
     200, "TenantList"},
    {"GET", "/v1/tenants/{tenant}/models", "models", "listModels", "Models of a tenant", kRead, "limit after",
     "", 200, "ModelList"},
    {"GET", SIGNUM_ONE_MODEL, "models", "getModel", "A model and its aliases", kRead, "", "", 200, "Model"},
    {"GET", SIGNUM_ONE_MODEL "/versions", "models", "listVersions", "Versions of a model", kRead,
     "limit afterNumber", "", 200, "VersionList"},
    {"POST", SIGNUM_ONE_MODEL "/versions", "models", "createVersion",
     "Compress a complete upload, or an older version's, against a base, as a job", kPublish, "", "VersionRequest", 202,
     "VersionAccepted"},
    {"GET", SIGNUM_ONE_VERSION, "models", "getVersion", "A version, by number or alias", kRead, "", "", 200,
     "Version"},
    {"DELETE", SIGNUM_ONE_VERSION, "models", "deleteVersion", "Delete a version that no alias points at",
     kPublish, "", "", 204, ""},
    {"GET", SIGNUM_ONE_VERSION "/delta", "models", "getDelta", "The delta file", kRead, "", "", 200, kBytes},
    {"GET", SIGNUM_ONE_VERSION "/manifest", "models", "getManifest", "The signed manifest", kRead, "", "", 200,
     "SignedManifest"},
    {"GET", SIGNUM_ONE_VERSION "/checkpoint/{path...}", "models", "getCheckpointFile",
     "A file of the checkpoint: rebuilt from base and delta, or exactly as uploaded", kRead, "fidelity", "",
     200, kFile},
    {"GET", "/v1/blobs/{digest}", "models", "getBlob", "A stored object by its digest", kAny, "", "", 200,
     kBytes},

    // ---- aliases
    {"GET", SIGNUM_ONE_MODEL "/aliases", "aliases", "listAliases", "Aliases of a model", kRead, "", "", 200,
     "AliasList"},
    {"GET", SIGNUM_ONE_ALIAS, "aliases", "getAlias", "An alias", kRead, "", "", 200, "Alias"},
    {"PUT", SIGNUM_ONE_ALIAS, "aliases", "setAlias",
     "Point an alias at a ready version; compare-and-set with If-Match or If-None-Match: *", kPublish, "",
     "AliasRequest", 200, "Alias", 201},
    {"DELETE", SIGNUM_ONE_ALIAS, "aliases", "deleteAlias", "Remove an alias", kPublish, "", "", 204, ""},

    // ---- nodes
    {"GET", "/v1/tenants/{tenant}/live", "nodes", "getLive", "What the tenant's nodes run", kRead, "", "", 200,
     "Live"},
    {"GET", "/v1/watch", "nodes", "watch",
     "Wait for changes of what tenants run: long poll, or server-sent events (Accept: text/event-stream)",
     kRead, "tenant since wait", "", 200, "Changes text/event-stream"},
    {"PUT", "/v1/nodes/{node}", "nodes", "reportNode", "A node's heartbeat", "node, admin", "", "NodeReport",
     200, "Node"},
    {"GET", "/v1/nodes", "nodes", "listNodes", "Who runs what, and who lags", kAny, "limit after", "", 200,
     "NodeList"},

    // ---- jobs
    {"GET", "/v1/jobs", "jobs", "listJobs", "Jobs, oldest first", "publisher, node, admin",
     "limit after filterTenant model state", "", 200, "JobList"},
    {"GET", "/v1/jobs/{id}", "jobs", "getJob", "A job", kRead, "", "", 200, "Job"},
    {"GET", "/v1/jobs/{id}/events", "jobs", "watchJob", "Progress as server-sent events, to the end", kRead,
     "", "", 200, kEvents},
    {"DELETE", "/v1/jobs/{id}", "jobs", "cancelJob", "Cancel a job", kPublish, "", "", 200, "Job", 202},

    // ---- audit
    {"GET", "/v1/audit/savings", "audit", "getSavings", "What is stored and what it saved", kAudit, "by format",
     "", 200, "Savings text/csv"},
    {"GET", "/v1/audit/log", "audit", "getLog", "The hash-chained log of every change", kAudit,
     "limit afterNumber", "", 200, "Log"},

    // ---- administration and operation
    {"POST", "/v1/admin/tokens", "operation", "createToken", "Make a token; its secret is shown once", kAdmin,
     "", "TokenRequest", 201, "NewToken"},
    {"GET", "/v1/admin/tokens", "operation", "listTokens", "Tokens, without secrets", kAdmin, "limit after", "",
     200, "TokenList"},
    {"DELETE", "/v1/admin/tokens/{id}", "operation", "revokeToken", "Revoke a token", kAdmin, "", "", 204, ""},
    {"POST", "/v1/admin/tokens/{id}/rotate", "operation", "rotateToken",
     "A new secret with the same rights; the old one ends", kAdmin, "", "RotateRequest?", 201, "NewToken"},
    {"GET", "/v1/admin/tenants/{tenant}", "operation", "getTenant", "A tenant's settings and usage", kAdmin, "", "", 200,
     "TenantSettings"},
    {"PUT", "/v1/admin/tenants/{tenant}", "operation", "setTenant",
     "Set how long a tenant's versions are kept, and its quota", kAdmin, "", "TenantRequest", 200, "TenantSettings"},
    {"GET", "/v1/admin/mode", "operation", "getMode", "Whether the registry is read-only", kAdmin, "", "", 200,
     "Mode"},
    {"PUT", "/v1/admin/mode", "operation", "setMode", "Make it read-only, or read-write again", kAdmin, "", "Mode",
     200, "Mode"},
    {"POST", "/v1/admin/gc", "operation", "collectGarbage",
     "Remove what is out of policy and what nothing names, or tell what would go", kAdmin, "", "GcRequest?", 202,
     "AcceptedJob"},
    {"POST", "/v1/admin/scrub", "operation", "scrub", "Read and check what is stored", kAdmin, "", "ScrubRequest?",
     202, "AcceptedJob"},
    {"POST", "/v1/admin/backup", "operation", "backUp", "Write a backup to a directory of the server", kAdmin, "",
     "BackupRequest?", 202, "AcceptedJob"},
    {"GET", "/v1/admin/backups", "operation", "listBackups", "Backups in a directory of the server", kAdmin,
     "limit afterNumber dir", "", 200, "BackupList"},
    {"GET", "/v1/keys", "operation", "listKeys", "Keys that sign or signed manifests", kOpen, "", "", 200,
     "KeyList"},
    {"POST", "/v1/admin/keys/rotate", "operation", "rotateKey", "Sign with a new key from here on", kAdmin, "", "",
     201, "Key"},
    {"GET", "/healthz", "operation", "healthz", "The process answers", kOpen, "", "", 200, "Health"},
    {"GET", "/readyz", "operation", "readyz", "The store takes writes and the server is not stopping", kOpen,
     "", "", 200, "Health"},
    {"GET", "/metrics", "operation", "metrics", "Prometheus metrics", kAudit, "", "", 200, "text/plain"},
    {"GET", "/openapi.json", "operation", "openapi", "This document", kOpen, "", "", 200, "application/json"},
    {"GET", "/", "operation", "adminPage", "The admin page", kOpen, "", "", 200, "text/html"},
};
// clang-format on

#undef SIGNUM_ONE_ALIAS
#undef SIGNUM_ONE_VERSION
#undef SIGNUM_ONE_MODEL

}  // namespace

std::span<const Operation> Operations() { return kOperations; }

}  // namespace signum
