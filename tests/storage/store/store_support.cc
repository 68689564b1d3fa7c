#include "tests/storage/store/store_support.h"

#include <algorithm>

namespace signum {

std::string RandomBytes(size_t size, uint64_t seed) {
  std::string bytes(size, '\0');
  uint64_t state = seed * 0x9E3779B97F4A7C15ull + 1;
  for (size_t i = 0; i < size; i += 8) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    std::memcpy(bytes.data() + i, &state, std::min<size_t>(8, size - i));
  }
  return bytes;
}

std::string Contents(const ByteSource& source) {
  auto bytes = ReadAll(source, 1ull << 30);
  EXPECT_THAT(bytes, Ok());
  return bytes.has_value() ? *std::move(bytes) : std::string();
}

uint64_t WriteBlob(Engine& engine, std::string_view bytes, size_t piece) {
  auto writer = engine.CreateBlob();
  EXPECT_THAT(writer, Ok());
  for (size_t i = 0; i < bytes.size();) {
    const size_t take = std::min(piece, bytes.size() - i);
    EXPECT_THAT((*writer)->Append(AsBytes(bytes.substr(i, take))), Ok());
    i += take;
  }
  const auto id = (*writer)->Seal();
  EXPECT_THAT(id, Ok());
  return id.has_value() ? *id : 0;
}

Result<void> PutKey(Engine& engine, std::string key, std::string value) {
  Batch batch;
  batch.Put(std::move(key), std::move(value));
  return engine.Commit(batch);
}

}  // namespace signum
