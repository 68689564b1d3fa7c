#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "storage/base/clock.h"
#include "storage/engine.h"
#include "storage/format/signature.h"

namespace signum {

// A key that signs manifests, or once did. Whoever trusts a key trusts those that it endorsed.
struct KeyRecord {
  std::string public_key;  // base64
  UnixMicros created = 0;
  std::optional<UnixMicros> retired;
  std::string endorsed_by;  // id of the key before it; empty for the first
  std::string endorsement;  // base64 of that key's signature (format/signature.h)
};

// The keys of a store: one that signs, in a file of its own, and the public halves of all that did,
// in the engine. Thread-safe.
class KeyRing {
 public:
  // Makes the first key where `file` is missing. Finishes or forgets a rotation that was cut off.
  static Result<std::unique_ptr<KeyRing>> Open(Engine& engine, const Clock& clock,
                                               std::filesystem::path file);

  std::shared_ptr<const SigningKey> Current() const;
  Result<std::vector<KeyRecord>> Keys() const;        // newest first
  Result<std::vector<PublicKey>> PublicKeys() const;  // of all of them
  // Makes a new key, endorsed by the current one, which signs nothing more.
  Result<KeyRecord> Rotate();

 private:
  KeyRing(Engine& engine, const Clock& clock, std::filesystem::path file);
  Result<void> Load();
  Result<void> FinishRotation(const std::vector<KeyRecord>& keys);
  Result<void> Register(const KeyRecord& added);

  Engine& engine_;
  const Clock& clock_;
  const std::filesystem::path file_, next_file_;
  std::mutex rotating_;
  mutable std::mutex mutex_;
  std::shared_ptr<const SigningKey> current_;
};

}  // namespace signum
