#include "client/node/trust.h"

#include <sstream>

#include "client/pull.h"
#include "client/trusted_keys.h"
#include "storage/base/file.h"

namespace signum::client {

Result<std::unique_ptr<Trust>> Trust::Open(const std::string& given,
                                           const std::filesystem::path& pin_file) {
  std::unique_ptr<Trust> trust(new Trust(pin_file));
  std::string text = given;
  if (given.empty()) {
    Result<std::string> pinned = ReadFile(pin_file, 64 * 1024);
    if (!pinned && pinned.error().code != Errc::kNotFound) return pinned.error();
    if (pinned) text = *pinned;
  }
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    SIGNUM_ASSIGN(PublicKey key, PublicKey::FromBase64(line));
    trust->keys_.push_back(std::move(key));
  }
  return trust;
}

Result<Manifest> Trust::Verify(Registry& registry, std::string_view envelope) {
  Result<Manifest> manifest = Check(envelope);
  if (manifest || manifest.error().reason != "unknown_key") return manifest;
  SIGNUM_TRY(Learn(registry));
  return Check(envelope);
}

// One at a time: a manifest takes a multiple of its length while it is read.
Result<Manifest> Trust::Check(std::string_view envelope) {
  const std::lock_guard lock(mutex_);
  return VerifyManifest(envelope, keys_);
}

// Everything that the registry lists, at first; what a believed key endorsed, later. Others verify
// while the registry is asked.
Result<void> Trust::Learn(Registry& registry) {
  SIGNUM_ASSIGN(const std::vector<RegistryKey> listed, registry.Keys());
  if (listed.empty()) {
    return Fail(Errc::kCorrupt, "unknown_key", "the registry names no signing key");
  }
  const std::lock_guard lock(mutex_);
  std::vector<PublicKey> keys = keys_;
  if (keys.empty()) {
    for (const RegistryKey& key : listed) keys.push_back(key.key);
  } else {
    keys = WithEndorsed(std::move(keys), listed);
    if (keys.size() == keys_.size()) return {};
  }
  std::string text;
  for (const PublicKey& key : keys) text += key.ToBase64() + "\n";
  SIGNUM_TRY(WriteFileAtomically(pin_file_, AsBytes(text)));
  keys_ = std::move(keys);
  return {};
}

}  // namespace signum::client
