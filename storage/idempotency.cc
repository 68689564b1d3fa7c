#include "storage/idempotency.h"

#include "storage/base/bytes.h"
#include "storage/record.h"

namespace signum {

namespace {

constexpr std::string_view kPrefix = "g/idempotency/";
constexpr size_t kPage = 1000;

struct AnswerRecord {
  Digest request;
  UnixMicros created = 0;
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;  // base64: any bytes
};

template <class F, class R>
requires RecordOf<R, AnswerRecord>
void Fields(F& f, R& r) {
  f("request", r.request);
  f("created", r.created);
  f("status", r.status);
  f("headers", r.headers);
  f("body", r.body);
}

// Hashed, so that any key of any length fits into the key space.
std::string KeyOf(std::string_view principal, std::string_view key) {
  Sha256 hash;
  hash.Update(AsBytes(principal));
  hash.Update(AsBytes(std::string_view("\0", 1)));
  hash.Update(AsBytes(key));
  return std::string(kPrefix) + hash.Finish().Hex();
}

Result<void> CheckSame(const Digest& a, const Digest& b) {
  if (a == b) return {};
  return Fail(Errc::kUnusable, "idempotency_key_reused",
              "this Idempotency-Key was used for another request");
}

bool Expired(const AnswerRecord& record, UnixMicros now) {
  return now - record.created >= IdempotencyStore::kKeepMicros;
}

Result<StoredAnswer> ToAnswer(AnswerRecord record, std::string_view key) {
  StoredAnswer answer{record.status, std::move(record.headers), {}};
  if (!Base64Decode(record.body, &answer.body)) {
    return Fail(Errc::kCorrupt, "bad_record", "record '" + std::string(key) + "': body");
  }
  return answer;
}

}  // namespace

IdempotencyStore::Run::~Run() {
  std::lock_guard lock(store_.mutex_);
  store_.running_.erase(key_);
}

Result<void> IdempotencyStore::Run::Finish(const StoredAnswer& answer) {
  AnswerRecord record;
  record.request = request_;
  record.created = store_.clock_.Now();
  record.status = answer.status;
  record.headers = answer.headers;
  record.body = Base64Encode(AsBytes(answer.body));
  Batch batch;
  batch.Put(key_, EncodeRecord(record));
  return store_.engine_.Commit(batch);
}

Result<IdempotencyStore::Begun> IdempotencyStore::Begin(std::string_view principal,
                                                        std::string_view key,
                                                        const Digest& request) {
  const std::string stored_key = KeyOf(principal, key);
  std::lock_guard lock(mutex_);  // over the read too: an answer is stored before its run ends
  if (const auto it = running_.find(stored_key); it != running_.end()) {
    SIGNUM_TRY(CheckSame(it->second, request));
    return Fail(Errc::kConflict, "idempotency_in_flight",
                "the first request with this Idempotency-Key is still running");
  }
  Begun begun;
  SIGNUM_ASSIGN(const auto stored, engine_.Get(stored_key));
  if (stored) {
    SIGNUM_ASSIGN(AnswerRecord record, DecodeRecord<AnswerRecord>(*stored, stored_key));
    if (!Expired(record, clock_.Now())) {
      SIGNUM_TRY(CheckSame(record.request, request));
      SIGNUM_ASSIGN(begun.answer, ToAnswer(std::move(record), stored_key));
      return begun;
    }
  }
  running_.emplace(stored_key, request);
  begun.run = std::make_unique<Run>(*this, stored_key, request);
  return begun;
}

Result<size_t> IdempotencyStore::Sweep() {
  const UnixMicros now = clock_.Now();
  size_t removed = 0;
  std::string begin(kPrefix);
  std::string end = begin;
  ++end.back();
  for (;;) {
    SIGNUM_ASSIGN(const auto page, engine_.Scan(begin, end, kPage));
    for (const KeyValue& item : page) {
      SIGNUM_ASSIGN(const auto record, DecodeRecord<AnswerRecord>(item.value, item.key));
      if (!Expired(record, now)) continue;
      Batch batch;
      batch.Require(item.key, item.value);
      batch.Delete(item.key);
      if (engine_.Commit(batch)) ++removed;  // else it was used again meanwhile
    }
    if (page.size() < kPage) return removed;
    begin = page.back().key + '\0';
  }
}

}  // namespace signum
