#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "storage/engine.h"
#include "tests/support/result_matchers.h"
#include "tests/support/temp_dir.h"

namespace signum {

// An engine of each kind for the tests that every one must pass. Reopen() closes and opens it
// again, where the kind outlives that.
struct EngineKind {
  std::string name;
  bool durable = false;
};

inline void PrintTo(const EngineKind& kind, std::ostream* out) { *out << kind.name; }

inline std::string EngineName(const ::testing::TestParamInfo<EngineKind>& kind) {
  return kind.param.name;
}

class EngineHolder {
 public:
  explicit EngineHolder(const EngineKind& kind) : kind_(kind) { Open(); }

  Engine& operator*() const { return *engine_; }
  Engine* operator->() const { return engine_.get(); }
  const std::filesystem::path& directory() const { return directory_.path(); }
  void Close() { engine_.reset(); }
  void Open() {
    if (!kind_.durable) {
      if (!engine_) engine_ = NewMemoryEngine();
      return;
    }
    auto opened = OpenRocksEngine((directory_.path() / "store").string());
    ASSERT_THAT(opened, Ok());
    engine_ = *std::move(opened);
  }
  void Reopen() {
    if (kind_.durable) Close();
    Open();
  }

 private:
  EngineKind kind_;
  TempDir directory_;
  std::unique_ptr<Engine> engine_;
};

inline const EngineKind kRocks{"rocks", true};
inline const EngineKind kMemory{"memory", false};

// Bytes that no compressor or chance makes equal to others: a xorshift stream of `seed`.
std::string RandomBytes(size_t size, uint64_t seed);

// All of a source, or an empty string after a failed expectation.
std::string Contents(const ByteSource& source);

// Writes one blob in pieces of `piece` bytes and returns its id.
uint64_t WriteBlob(Engine& engine, std::string_view bytes, size_t piece = SIZE_MAX);

Result<void> PutKey(Engine& engine, std::string key, std::string value);

}  // namespace signum
