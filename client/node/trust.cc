#include "client/node/trust.h"

#include <sstream>

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

Result<std::vector<PublicKey>> Trust::Keys(Registry& registry) {
  const std::lock_guard lock(mutex_);
  if (keys_.empty()) SIGNUM_TRY(Pin(registry));
  return keys_;
}

Result<void> Trust::Pin(Registry& registry) {
  SIGNUM_ASSIGN(const std::vector<RegistryKey> keys, registry.Keys());
  if (keys.empty()) return Fail(Errc::kCorrupt, "unknown_key", "the registry names no signing key");
  std::string text;
  for (const RegistryKey& key : keys) text += key.key.ToBase64() + "\n";
  SIGNUM_TRY(WriteFileAtomically(pin_file_, AsBytes(text)));
  for (const RegistryKey& key : keys) keys_.push_back(key.key);
  return {};
}

}  // namespace signum::client
