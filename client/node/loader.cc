#include "client/node/loader.h"

#include <algorithm>
#include <thread>

#include "client/chunk_verifier.h"
#include "client/download.h"
#include "client/pull.h"
#include "gpu/in_order.h"
#include "storage/base/file.h"

namespace signum::client {

namespace {

constexpr uint64_t kMaxManifestBytes = 64u << 20;

Result<void> Mismatch(const LiveModel& live, const std::string& what) {
  return Fail(Errc::kCorrupt, "manifest_mismatch",
              live.Name() + "@" + std::to_string(live.version) + ": the manifest names another " +
                  what + " than the registry's live list");
}

Result<void> CheckAgainstLive(const Manifest& manifest, const LiveModel& live) {
  SIGNUM_TRY(CheckManifestIs(manifest, live.tenant, live.model, live.version));
  if (manifest.delta_digest != live.digest) return Mismatch(live, "delta");
  if (manifest.delta_size != live.size) return Mismatch(live, "size");
  if (manifest.base_digest != live.base_digest || manifest.base != live.base) {
    return Fail(Errc::kCorrupt, "base_mismatch",
                live.Name() + ": the manifest is of base " + manifest.base + " (" +
                    manifest.base_digest.Text() + "), live says " + live.base + " (" +
                    live.base_digest.Text() + ")");
  }
  return {};
}

// Whether memory, rather than the disk, is full.
bool NoRoom(const Error& error) {
  return error.reason == "memory_budget" || error.reason == "slots_full";
}

Result<void> CheckSizes(const ByteSource& file, const Manifest& manifest) {
  SIGNUM_TRY(CheckChunkCount(manifest));
  if (file.size() == manifest.delta_size) return {};
  return Fail(Errc::kCorrupt, "size_mismatch",
              manifest.tenant + "/" + manifest.model + ": " + std::to_string(file.size()) +
                  " bytes, the manifest has " + std::to_string(manifest.delta_size));
}

// Both in pieces of whole chunks, on several threads. The digests of the chunks are signed: that of
// the whole file would say nothing more.
constexpr uint64_t kPieceBytes = 64 * kChunkBytes;

int VerifyThreads(const FetchOptions& options) {
  if (options.verify_threads > 0) return options.verify_threads;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / 2);
}

// `take` makes the bytes of a piece those that are checked.
Result<void> VerifyPieces(uint64_t size, const Manifest& manifest, int threads,
                          const std::function<Result<ConstBytes>(uint64_t, uint64_t)>& take) {
  InOrderWork work;
  work.pieces = (size + kPieceBytes - 1) / kPieceBytes;
  work.compute = [&](size_t, uint64_t piece) -> Result<void> {
    const uint64_t offset = piece * kPieceBytes;
    SIGNUM_ASSIGN(const ConstBytes bytes, take(offset, std::min(kPieceBytes, size - offset)));
    return CheckChunks(manifest, offset, bytes);
  };
  work.commit = [](size_t, uint64_t) -> Result<void> { return {}; };
  work.tick = []() -> Result<void> { return {}; };
  return RunInOrder(work, threads);
}

}  // namespace

Result<Manifest> Loader::LoadManifest(Registry& registry, const LiveModel& live) {
  const auto path = cache_.ManifestPath(live.manifest_digest);
  std::string envelope;
  if (Result<std::string> cached = ReadFile(path, kMaxManifestBytes)) {
    if (Sha256::Of(AsBytes(*cached)) == live.manifest_digest) envelope = *std::move(cached);
  }
  const bool fetched = envelope.empty();
  if (fetched) {
    SIGNUM_ASSIGN(envelope, registry.GetBytes(live.manifest_url, kMaxManifestBytes));
    const MemorySource bytes(envelope);
    SIGNUM_TRY(ExpectDigest(live.manifest_digest, "manifest of " + live.Name())(bytes));
  }
  SIGNUM_ASSIGN(Manifest manifest, trust_.Verify(registry, envelope));
  SIGNUM_TRY(CheckAgainstLive(manifest, live));
  if (fetched) SIGNUM_TRY(WriteFileAtomically(path, AsBytes(envelope)));
  cache_.Touch(path);
  return manifest;
}

// What can't be held is verified where it lies.
Result<void> Loader::VerifyOnly(const ByteSource& file, const Manifest& manifest) const {
  SIGNUM_TRY(CheckSizes(file, manifest));
  return VerifyPieces(file.size(), manifest, VerifyThreads(fetch_),
                      [&](uint64_t offset, uint64_t size) -> Result<ConstBytes> {
                        return file.View().subspan(offset, size);
                      });
}

// Copies first and hashes the copy: what was verified is what will be used.
Result<std::shared_ptr<Arena>> Loader::Fill(const ByteSource& file, const Manifest& manifest,
                                            const MakeRoom& make_room) {
  SIGNUM_TRY(CheckSizes(file, manifest));
  auto created = Arena::Create(budget_, manifest.delta_size);
  while (!created && NoRoom(created.error()) && budget_->Fits(manifest.delta_size) && make_room()) {
    created = Arena::Create(budget_, manifest.delta_size);
  }
  SIGNUM_ASSIGN(std::shared_ptr<Arena> arena, std::move(created));
  const auto copied = [&](uint64_t offset, uint64_t size) -> Result<ConstBytes> {
    const MutableBytes copy = arena->writable().subspan(offset, size);
    SIGNUM_TRY(file.Read(offset, copy));
    return ConstBytes(copy);
  };
  SIGNUM_TRY(VerifyPieces(file.size(), manifest, VerifyThreads(fetch_), copied));
  SIGNUM_TRY(arena->Seal());
  return arena;
}

Result<std::shared_ptr<Arena>> Loader::FromCache(const LiveModel& live, const Manifest& manifest,
                                                 const MakeRoom& make_room) {
  const auto path = cache_.DeltaPath(live.digest);
  SIGNUM_ASSIGN(const auto file, MappedFile::Open(path));
  Result<std::shared_ptr<Arena>> arena = Fill(*file, manifest, make_room);
  if (!arena && arena.error().code == Errc::kCorrupt) cache_.Drop(path);
  if (arena) cache_.Touch(path);
  return arena;
}

Result<std::shared_ptr<Arena>> Loader::Download(Registry& registry, const LiveModel& live,
                                                const Manifest& manifest, const Progress& progress,
                                                const MakeRoom& make_room, LoadReport& report) {
  Result<std::shared_ptr<Arena>> arena = std::shared_ptr<Arena>();
  DownloadOptions options;
  options.expected_size = manifest.delta_size;
  options.durable = false;  // what the cache has is verified whenever it is used
  options.connections = fetch_.connections;
  options.parallel_from = fetch_.parallel_from;
  options.range_bytes = fetch_.range_bytes;
  options.verify_piece = [&](uint64_t offset, ConstBytes bytes) {
    return CheckChunks(manifest, offset, bytes);
  };
  options.on_progress = [&](uint64_t present, uint64_t received) {
    report.bytes_downloaded = received;
    progress(GenerationState::kDownloading, present);
  };
  options.verify = [&](const ByteSource& file) -> Result<void> {
    arena = Fill(file, manifest, make_room);
    if (!arena && NoRoom(arena.error())) return VerifyOnly(file, manifest);
    if (!arena) return arena.error();
    return {};
  };
  SIGNUM_TRY(DownloadFile(registry, live.url, cache_.DeltaPath(live.digest), options));
  return arena;
}

Result<Generation> Loader::Load(Registry& registry, const LiveModel& live, const Progress& progress,
                                const MakeRoom& make_room, LoadReport& report) {
  progress(GenerationState::kDownloading, 0);
  SIGNUM_ASSIGN(const Manifest manifest, LoadManifest(registry, live));
  Result<std::shared_ptr<Arena>> arena = FromCache(live, manifest, make_room);
  if (arena) report.source = "cache";
  if (!arena && arena.error().code == Errc::kCorrupt) report.cache_damage = arena.error().reason;
  const bool fetch =
      !arena && (arena.error().code == Errc::kNotFound || arena.error().code == Errc::kCorrupt);
  if (fetch) arena = Download(registry, live, manifest, progress, make_room, report);
  if (!arena) return arena.error();
  SIGNUM_ASSIGN(auto delta, DeltaReader::Open(*arena, live.Name()));
  if (delta->header().base != live.base_digest) {
    return Fail(Errc::kCorrupt, "base_mismatch",
                live.Name() + ": the delta is of base " + delta->header().base.Text() +
                    ", live says " + live.base_digest.Text());
  }
  progress(GenerationState::kVerified, live.size);
  Generation generation;
  generation.live = live;
  generation.arena = *std::move(arena);
  generation.delta = std::move(delta);
  generation.chunks = manifest.chunks;
  return generation;
}

}  // namespace signum::client
