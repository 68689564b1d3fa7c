#include "storage/engine.h"

namespace signum {

Result<void> Engine::Reclaim(std::string_view, std::string_view) { return {}; }

Result<std::vector<EngineFile>> Engine::ListFiles() const { return std::vector<EngineFile>(); }

Result<void> Engine::VerifyFile(const EngineFile& file,
                                const std::function<bool(uint64_t)>&) const {
  return Fail(Errc::kNotFound, "unknown_file", "the store has no file " + file.name);
}

Result<std::vector<SnapshotFile>> Engine::Snapshot(const std::string&) {
  return Fail(Errc::kUnavailable, "no_snapshots", "this engine does not lie in files");
}

}  // namespace signum
