#include "storage/key_ring.h"

#include <algorithm>
#include <system_error>

#include "storage/base/file.h"
#include "storage/record.h"
#include "storage/transaction.h"

namespace signum {

template <class F, class R>
requires RecordOf<R, KeyRecord>
void Fields(F& f, R& r) {
  f("public_key", r.public_key);
  f("created", r.created);
  f("retired", r.retired);
  f("endorsed_by", r.endorsed_by);
  f("endorsement", r.endorsement);
}

namespace {

constexpr std::string_view kKeys = "g/keys";

// Oldest first.
struct Ring {
  std::vector<KeyRecord> keys;
};

template <class F, class R>
requires RecordOf<R, Ring>
void Fields(F& f, R& r) { f("keys", r.keys); }

Result<Ring> DecodeRing(const std::optional<std::string>& stored) {
  if (!stored) return Ring{};
  return DecodeRecord<Ring>(*stored, std::string(kKeys));
}

bool Exists(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

}  // namespace

KeyRing::KeyRing(Engine& engine, const Clock& clock, std::filesystem::path file)
    : engine_(engine),
      clock_(clock),
      file_(std::move(file)),
      next_file_(file_.string() + ".next") {}

Result<std::unique_ptr<KeyRing>> KeyRing::Open(Engine& engine, const Clock& clock,
                                               std::filesystem::path file) {
  std::unique_ptr<KeyRing> ring(new KeyRing(engine, clock, std::move(file)));
  SIGNUM_TRY(ring->Load());
  return ring;
}

Result<void> KeyRing::Load() {
  SIGNUM_ASSIGN(std::vector<KeyRecord> keys, Keys());
  SIGNUM_TRY(FinishRotation(keys));
  SIGNUM_ASSIGN(SigningKey key, SigningKey::LoadOrCreate(file_));
  const std::string shown = key.public_key().ToBase64();
  current_ = std::make_shared<const SigningKey>(std::move(key));
  const auto is_it = [&](const KeyRecord& known) { return known.public_key == shown; };
  if (std::any_of(keys.begin(), keys.end(), is_it)) return {};
  return Register({shown, clock_.Now(), {}, {}, {}});
}

// The commit of the new key's record is what decides: before it the next file counts for nothing,
// after it that file is the key.
Result<void> KeyRing::FinishRotation(const std::vector<KeyRecord>& keys) {
  if (!Exists(next_file_)) return {};
  SIGNUM_ASSIGN(const SigningKey next, SigningKey::LoadOrCreate(next_file_));
  std::error_code error;
  if (!keys.empty() && keys.front().public_key == next.public_key().ToBase64()) {
    std::filesystem::rename(next_file_, file_, error);
  } else {
    std::filesystem::remove(next_file_, error);
  }
  if (error) return FromErrno(error.value(), next_file_.string());
  return SyncDirectory(file_.parent_path());
}

Result<void> KeyRing::Register(const KeyRecord& added) {
  return Transact<void>(engine_, [&](Transaction& transaction) -> Result<void> {
    const std::string key(kKeys);
    SIGNUM_ASSIGN(const auto stored, transaction.Get(key));
    SIGNUM_ASSIGN(Ring ring, DecodeRing(stored));
    for (KeyRecord& known : ring.keys) {
      if (!known.retired) known.retired = added.created;
    }
    ring.keys.push_back(added);
    transaction.Put(key, EncodeRecord(ring));
    return {};
  });
}

std::shared_ptr<const SigningKey> KeyRing::Current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

Result<std::vector<KeyRecord>> KeyRing::Keys() const {
  SIGNUM_ASSIGN(const auto stored, engine_.Get(std::string(kKeys)));
  SIGNUM_ASSIGN(Ring ring, DecodeRing(stored));
  std::reverse(ring.keys.begin(), ring.keys.end());
  return std::move(ring.keys);
}

Result<std::vector<PublicKey>> KeyRing::PublicKeys() const {
  SIGNUM_ASSIGN(const std::vector<KeyRecord> records, Keys());
  std::vector<PublicKey> keys;
  for (const KeyRecord& record : records) {
    SIGNUM_ASSIGN(PublicKey key, PublicKey::FromBase64(record.public_key));
    keys.push_back(std::move(key));
  }
  return keys;
}

Result<KeyRecord> KeyRing::Rotate() {
  const std::lock_guard rotating(rotating_);
  std::error_code error;
  std::filesystem::remove(next_file_, error);  // of a rotation that failed
  SIGNUM_ASSIGN(SigningKey next, SigningKey::LoadOrCreate(next_file_));
  const auto before = Current();
  KeyRecord record;
  record.public_key = next.public_key().ToBase64();
  record.created = clock_.Now();
  record.endorsed_by = before->public_key().Id();
  record.endorsement = Base64Encode(AsBytes(Endorse(*before, next.public_key())));
  SIGNUM_TRY(Register(record));
  std::filesystem::rename(next_file_, file_, error);
  if (error) return FromErrno(error.value(), next_file_.string());
  SIGNUM_TRY(SyncDirectory(file_.parent_path()));
  const std::lock_guard lock(mutex_);
  current_ = std::make_shared<const SigningKey>(std::move(next));
  return record;
}

}  // namespace signum
