#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "storage/base/digest.h"
#include "storage/format/delta_file.h"
#include "storage/format/signature.h"

namespace signum {

// One weight of the fine-tune as the manifest lists it.
struct ManifestTensor {
  TensorInfo info;
  Codec codec = Codec::kRaw;
  uint64_t stored_bytes = 0;  // its parts in the delta file, together
};

// The signed manifest of one version (format.md, "The manifest"). Everything a node must know
// before it trusts a delta file.
struct Manifest {
  std::string tenant, model;
  uint64_t version = 0;
  std::string base;    // the base's name
  Digest base_digest;  // the base manifest's digest
  uint64_t delta_size = 0;
  Digest delta_digest;
  std::vector<Digest> chunks;  // of every kChunkBytes of the delta file
  std::string codec, scales, embeddings, method;
  std::string architecture;             // config.json's architectures[0], or model_type
  std::vector<ManifestTensor> tensors;  // sorted by name
  Recipe recipe;                        // of the upload, exact
  std::string fidelity_json;            // JSON object or empty
  std::string calibration_json;         // JSON object or empty
  std::string creator;
  std::string created;  // RFC 3339

  // The signed envelope: canonical JSON {"manifest":{…},"signature":{"alg":"ed25519","key","sig"}}.
  std::string Sign(const SigningKey& key) const;
  // Parses an envelope and checks its signature. Errc::kCorrupt: bad_manifest (names the field),
  // bad_signature, unknown_key (signed by a key that is not `key`).
  static Result<Manifest> Verify(std::string_view envelope, const PublicKey& key);
  // Parses without checking the signature (for `inspect`).
  static Result<Manifest> ParseUnverified(std::string_view envelope);
};

}  // namespace signum
