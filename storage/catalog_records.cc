#include "storage/catalog_records.h"

#include <cstdio>

#include "storage/record.h"

namespace signum {

namespace {

std::string Padded(uint64_t number) {
  char text[24];
  std::snprintf(text, sizeof text, "%020llu", static_cast<unsigned long long>(number));
  return text;
}

std::string Join(std::string_view prefix, std::string_view a, std::string_view middle,
                 std::string_view b = {}) {
  std::string key(prefix);
  key.append(a).append(middle).append(b);
  return key;
}

}  // namespace

std::string BaseKey(std::string_view base) { return Join("g/base/", base, ""); }
std::string TenantKey(std::string_view tenant) { return Join("g/tenant/", tenant, ""); }
std::string ModelKey(std::string_view tenant, std::string_view model) {
  return Join("t/", tenant, "/model/", model);
}
std::string VersionKey(std::string_view tenant, std::string_view model, uint64_t version) {
  return Join("t/", tenant, "/version/", model) + "/" + Padded(version);
}
std::string AliasKey(std::string_view tenant, std::string_view model, std::string_view alias) {
  return Join("t/", tenant, "/alias/", model).append("/").append(alias);
}
std::string JobKey(std::string_view tenant, std::string_view id) {
  return Join("t/", tenant, "/job/", id);
}
std::string JobIndexKey(std::string_view id) { return Join("g/job/all/", id, ""); }
std::string OpenJobKey(std::string_view id) { return Join("g/job/open/", id, ""); }
std::string FeedKey(std::string_view tenant, uint64_t seq) {
  return Join("t/", tenant, "/feed/", Padded(seq));
}
std::string FeedMetaKey(std::string_view tenant) { return Join("t/", tenant, "/feed-meta"); }

std::string RangeEnd(std::string_view prefix) {
  std::string end(prefix);
  ++end.back();
  return end;
}

std::string_view LastPart(std::string_view key) { return key.substr(key.rfind('/') + 1); }

template <class F, class R>
requires RecordOf<R, BaseRecord>
void Fields(F& f, R& r) {
  f("name", r.name);
  f("digest", r.digest);
  f("recipe", r.recipe);
  f("upload_bytes", r.upload_bytes);
  f("stored_bytes", r.stored_bytes);
  f("parameters", r.parameters);
  f("tensors", r.tensors);
  f("architecture", r.architecture);
  f("creator", r.creator);
  f("upload", r.upload);
  f("created", r.created);
}

template <class F, class R>
requires RecordOf<R, RebuiltFile>
void Fields(F& f, R& r) {
  f("path", r.path);
  f("size", r.size);
  f("digest", r.digest);
}

template <class F, class R>
requires RecordOf<R, VersionRecord>
void Fields(F& f, R& r) {
  f("tenant", r.tenant);
  f("model", r.model);
  f("version", r.version);
  f("state", r.state);
  f("base", r.base);
  f("base_digest", r.base_digest);
  f("options", r.options_json);
  f("upload", r.upload);
  f("recipe", r.recipe);
  f("delta", r.delta);
  f("manifest", r.manifest);
  f("rebuilt", r.rebuilt);
  f("upload_bytes", r.upload_bytes);
  f("exact_bytes", r.exact_bytes);
  f("delta_bytes", r.delta_bytes);
  f("linear_weights", r.linear_weights);
  f("linear_bytes", r.linear_bytes);
  f("exact_kept", r.exact_kept);
  f("fidelity", r.fidelity_json);
  f("made", r.made_json);
  f("parent", r.parent);
  f("from_version", r.from_version);
  f("job", r.job);
  f("error_reason", r.error_reason);
  f("error_message", r.error_message);
  f("creator", r.creator);
  f("created", r.created);
  f("finished", r.finished);
}

template <class F, class R>
requires RecordOf<R, AliasRecord>
void Fields(F& f, R& r) {
  f("name", r.name);
  f("version", r.version);
  f("revision", r.revision);
  f("previous", r.previous);
  f("updated", r.updated);
}

template <class F, class R>
requires RecordOf<R, JobRecord>
void Fields(F& f, R& r) {
  f("id", r.id);
  f("kind", r.kind);
  f("tenant", r.tenant);
  f("model", r.model);
  f("version", r.version);
  f("state", r.state);
  f("phase", r.phase);
  f("progress", r.progress);
  f("rate", r.rate);
  f("loss", r.loss);
  f("eta_seconds", r.eta_seconds);
  f("cancel_requested", r.cancel_requested);
  f("attempts", r.attempts);
  f("error_reason", r.error_reason);
  f("error_message", r.error_message);
  f("request", r.request_json);
  f("result", r.result_json);
  f("created", r.created);
  f("started", r.started);
  f("updated", r.updated);
  f("finished", r.finished);
}

template <class F, class R>
requires RecordOf<R, FeedEntry>
void Fields(F& f, R& r) {
  f("seq", r.seq);
  f("tenant", r.tenant);
  f("model", r.model);
  f("kind", r.kind);
  f("version", r.version);
  f("at", r.at);
}

template <class F, class R>
requires RecordOf<R, ModelRecord>
void Fields(F& f, R& r) {
  f("next_version", r.next_version);
  f("changes", r.changes);
}

template <class F, class R>
requires RecordOf<R, FeedMeta>
void Fields(F& f, R& r) {
  f("last", r.last);
  f("floor", r.floor);
  f("count", r.count);
}

template <class R>
std::string Encode(const R& record) {
  return EncodeRecord(record);
}
template <class R>
Result<R> Decode(std::string_view bytes, std::string_view key) {
  return DecodeRecord<R>(bytes, key);
}

template std::string Encode(const BaseRecord&);
template std::string Encode(const VersionRecord&);
template std::string Encode(const AliasRecord&);
template std::string Encode(const JobRecord&);
template std::string Encode(const FeedEntry&);
template std::string Encode(const ModelRecord&);
template std::string Encode(const FeedMeta&);
template Result<BaseRecord> Decode(std::string_view, std::string_view);
template Result<VersionRecord> Decode(std::string_view, std::string_view);
template Result<AliasRecord> Decode(std::string_view, std::string_view);
template Result<JobRecord> Decode(std::string_view, std::string_view);
template Result<FeedEntry> Decode(std::string_view, std::string_view);
template Result<ModelRecord> Decode(std::string_view, std::string_view);
template Result<FeedMeta> Decode(std::string_view, std::string_view);

}  // namespace signum
