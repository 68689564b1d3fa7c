#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/chunk_verifier.h"
#include "client/commands/command.h"
#include "client/local_checkpoint.h"
#include "client/pull.h"
#include "storage/base/file.h"

namespace signum::client {

namespace {

using nlohmann::json;

constexpr uint64_t kMaxManifestBytes = 1u << 30;

struct Options {
  std::string file, manifest, key;
};

// chat.safetensors has its manifest in chat.manifest.json: where pull puts it.
std::string ManifestBeside(const std::string& file) {
  const std::filesystem::path path =
      std::filesystem::path(file).replace_extension(".manifest.json");
  std::error_code ignored;
  return std::filesystem::exists(path, ignored) ? path.string() : "";
}

Result<Manifest> ReadManifest(const std::string& path, const std::string& key) {
  SIGNUM_ASSIGN(const std::string envelope, ReadFile(path, kMaxManifestBytes));
  if (key.empty()) return Manifest::ParseUnverified(envelope);
  SIGNUM_ASSIGN(PublicKey trusted, PublicKey::FromBase64(key));
  return VerifyManifest(envelope, {trusted});
}

Result<void> CheckBase(const DeltaReader& delta, const Manifest& manifest) {
  if (delta.header().base == manifest.base_digest) return {};
  return Fail(Errc::kCorrupt, "base_mismatch",
              "the delta names base " + delta.header().base.Text() + ", its manifest " +
                  manifest.base_digest.Text());
}

// What can be said of a delta file on its own: it parses, and each blob it carries has its digest.
Result<uint64_t> CheckBlobs(const DeltaReader& delta) {
  constexpr std::string_view kBlob = "signum.blob.";
  uint64_t checked = 0;
  for (const SafetensorsEntry& part : delta.parts()) {
    if (!part.info.name.starts_with(kBlob)) continue;
    const std::string hex = part.info.name.substr(kBlob.size());
    SIGNUM_ASSIGN(const std::string bytes, ReadAll(*delta.OpenPart(part), UINT64_MAX));
    if (Sha256::Of(AsBytes(bytes)).Hex() != hex) {
      return Fail(Errc::kCorrupt, "digest_mismatch", part.info.name + " has another digest");
    }
    ++checked;
  }
  return checked;
}

Result<void> Run(const CommandContext& context, const Options& options) {
  const std::string manifest_path =
      options.manifest.empty() ? ManifestBeside(options.file) : options.manifest;
  if (manifest_path.empty() && !options.key.empty()) {
    return Fail(Errc::kInvalid, "no_manifest", "--key needs a manifest: give --manifest FILE");
  }
  json report = {
      {"file", options.file}, {"manifest", nullptr}, {"chunks", 0}, {"signature", nullptr}};
  if (!manifest_path.empty()) {
    SIGNUM_ASSIGN(const auto file, MappedFile::Open(options.file));
    SIGNUM_ASSIGN(const Manifest manifest, ReadManifest(manifest_path, options.key));
    SIGNUM_TRY(VerifyDelta(*file, manifest));
    SIGNUM_ASSIGN(const auto delta, OpenDeltaFile(options.file));
    SIGNUM_TRY(CheckBase(*delta, manifest));
    report["manifest"] = manifest_path;
    report["chunks"] = manifest.chunks.size();
    report["signature"] = options.key.empty() ? "not checked (no --key)" : "good";
  }
  SIGNUM_ASSIGN(const auto delta, OpenDeltaFile(options.file));
  SIGNUM_ASSIGN(const uint64_t blobs, CheckBlobs(*delta));
  report["blobs"] = blobs;
  if (context.json) {
    PrintJson(report);
  } else if (manifest_path.empty()) {
    PrintText(options.file + ": parses, " + std::to_string(blobs) +
              " blobs good; no manifest, so its weights are not checked\n");
  } else {
    PrintText(options.file + ": good, " + report["chunks"].dump() + " chunks; signature " +
              report["signature"].get<std::string>() + "\n");
  }
  return {};
}

}  // namespace

CommandRun AddVerify(CLI::App& app, const CommandContext& context) {
  auto options = std::make_shared<Options>();
  app.add_option("FILE", options->file, "Delta file")->required();
  app.add_option("--manifest", options->manifest,
                 "Its manifest; default: <FILE without extension>.manifest.json, where that is");
  app.add_option("--key", options->key, "Public key (base64) that must have signed the manifest");
  return [&context, options] { return Run(context, *options); };
}

}  // namespace signum::client
