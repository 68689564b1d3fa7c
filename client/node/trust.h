#pragma once

#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "client/registry.h"
#include "storage/base/result.h"
#include "storage/format/manifest.h"
#include "storage/format/signature.h"

namespace signum::client {

// The keys a node believes. Either the operator names them, or those that the registry has on first
// contact are pinned in a file: a registry that is replaced later is not believed. Thread-safe.
class Trust {
 public:
  // `given`: base64, empty where the operator names none; Errc::kInvalid where it is no key.
  static Result<std::unique_ptr<Trust>> Open(const std::string& given,
                                             const std::filesystem::path& pin_file);

  // The manifest of an envelope that a believed key signed. Asks the registry, and pins its answer,
  // where nothing is known yet, and where the signing key is unknown: it is believed if a believed
  // one endorsed it. Errors as VerifyManifest's.
  Result<Manifest> Verify(Registry& registry, std::string_view envelope);

 private:
  explicit Trust(std::filesystem::path pin_file) : pin_file_(std::move(pin_file)) {}
  Result<Manifest> Check(std::string_view envelope);
  Result<void> Learn(Registry& registry);

  std::filesystem::path pin_file_;
  std::mutex mutex_;
  std::vector<PublicKey> keys_;
};

}  // namespace signum::client
