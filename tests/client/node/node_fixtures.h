#pragma once

#include <cstring>
#include <filesystem>
#include <string>

#include "client/live_model.h"
#include "client/node/arena.h"
#include "client/node/residency.h"
#include "storage/base/file.h"
#include "storage/format/delta_file.h"
#include "storage/format/manifest.h"
#include "storage/format/recipe.h"

// Small deltas with everything around them, for tests of the node.

namespace signum::client {

// A valid delta file with one raw tensor of `weights` bytes that all hold `fill`.
inline std::string MakeDelta(const std::filesystem::path& scratch, const Digest& base, char fill,
                             size_t weights = 300'000) {
  auto writer = DeltaWriter::Create(scratch).value();
  const std::string recipe = Recipe{}.Serialize();
  const std::string bytes(weights, fill);
  writer->Add({"signum.recipe", Dtype::kU8, {recipe.size()}}, AsBytes(recipe)).value();
  writer->Add({"w", Dtype::kU8, {weights}}, AsBytes(bytes)).value();
  DeltaHeader header;
  header.base = base;
  header.codec = "sign1";
  header.scales = "row+col";
  header.codecs["w"] = Codec::kRaw;
  writer->Finish(header).value();
  std::string out = ReadFile(scratch, UINT64_MAX).value();
  std::filesystem::remove(scratch);
  return out;
}

inline Manifest MakeManifest(const std::string& tenant, const std::string& model, uint64_t version,
                             const Digest& base, const std::string& delta) {
  Manifest manifest;
  manifest.tenant = tenant;
  manifest.model = model;
  manifest.version = version;
  manifest.base = "tiny";
  manifest.base_digest = base;
  manifest.delta_size = delta.size();
  manifest.delta_digest = Sha256::Of(AsBytes(delta));
  for (size_t i = 0; i < delta.size(); i += kChunkBytes) {
    manifest.chunks.push_back(Sha256::Of(AsBytes(std::string_view(delta).substr(i, kChunkBytes))));
  }
  manifest.codec = "sign1";
  manifest.scales = "row+col";
  manifest.embeddings = "onebit";
  manifest.method = "none";
  manifest.architecture = "LlamaForCausalLM";
  manifest.creator = "test";
  manifest.created = "2026-01-01T00:00:00.000000Z";
  return manifest;
}

inline LiveModel LiveOf(const Manifest& manifest, const std::string& envelope,
                        const std::string& url) {
  LiveModel live;
  live.tenant = manifest.tenant;
  live.model = manifest.model;
  live.version = manifest.version;
  live.digest = manifest.delta_digest;
  live.size = manifest.delta_size;
  live.base = manifest.base;
  live.base_digest = manifest.base_digest;
  live.url = url + "/delta/" + manifest.delta_digest.Hex();
  live.manifest_digest = Sha256::Of(AsBytes(envelope));
  live.manifest_url = url + "/manifest/" + live.manifest_digest.Hex();
  return live;
}

// A generation whose arena holds `bytes` times `fill`, without a delta reader.
inline Generation MakeGeneration(const std::shared_ptr<MemoryBudget>& budget, uint64_t version,
                                 char fill, size_t bytes = 4096) {
  Generation out;
  out.live.tenant = "acme";
  out.live.model = "chat";
  out.live.version = version;
  auto arena = Arena::Create(budget, bytes).value();
  std::memset(arena->writable().data(), fill, bytes);
  arena->Seal().value();
  out.arena = arena;
  return out;
}

}  // namespace signum::client
