// Flipped bits in the write-ahead log and the MANIFEST are found, and what a crash leaves is not
// taken for damage.

#include "storage/rocks_log_file.h"

#include <fstream>

#include "storage/base/file.h"
#include "tests/storage/store/store_support.h"

namespace signum {
namespace {

namespace fs = std::filesystem;

class RocksLogFileTest : public ::testing::Test {
 protected:
  // The store with `keys` keys, closed as a kill leaves it: they are in the log alone.
  fs::path LogOf(int keys, size_t value_bytes) {
    for (int i = 0; i < keys; ++i) {
      const std::string value = RandomBytes(value_bytes, static_cast<uint64_t>(i) + 1);
      EXPECT_THAT(PutKey(*engine_, "t/a/" + std::to_string(i), value), Ok());
    }
    engine_.Close();
    fs::path biggest;
    for (const auto& entry : fs::directory_iterator(Database())) {
      if (entry.path().extension() != ".log") continue;
      if (biggest.empty() || entry.file_size() > fs::file_size(biggest)) biggest = entry.path();
    }
    return biggest;
  }

  fs::path Database() const { return engine_.directory() / "store" / "db"; }
  std::string Store() const { return (engine_.directory() / "store").string(); }

  static void Write(const fs::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }
  static std::string Flipped(std::string bytes, size_t bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    return bytes;
  }

  EngineHolder engine_{kRocks};
};

TEST_F(RocksLogFileTest, FindsEveryFlippedBit) {
  const fs::path log = LogOf(12, 300);
  const std::string bytes = ReadFile(log, 1 << 20).value();
  ASSERT_GT(bytes.size(), 3600);
  EXPECT_THAT(CheckRocksLog(log), Ok());
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    Write(log, Flipped(bytes, bit));
    ASSERT_THAT(CheckRocksLog(log), FailsWith(Errc::kCorrupt, "file_damaged", log.string()))
        << "bit " << bit;
  }
}

TEST_F(RocksLogFileTest, FindsFlippedBitsInAnyBlock) {
  const fs::path log = LogOf(8, 20'000);  // records that cross the borders of blocks
  const std::string bytes = ReadFile(log, 1 << 20).value();
  ASSERT_GT(bytes.size(), 160'000);
  for (size_t bit = 5; bit < 8 * bytes.size(); bit += 4099) {
    Write(log, Flipped(bytes, bit));
    ASSERT_THAT(CheckRocksLog(log), FailsWith(Errc::kCorrupt, "file_damaged", "")) << bit;
  }
}

TEST_F(RocksLogFileTest, ARecordThatACrashCutIsNoDamage) {
  const fs::path log = LogOf(12, 300);
  const std::string bytes = ReadFile(log, 1 << 20).value();
  for (size_t size = 0; size <= bytes.size(); ++size) {
    Write(log, bytes.substr(0, size));
    ASSERT_THAT(CheckRocksLog(log), Ok()) << size;
  }
  // The file was made longer, and its end not written.
  for (size_t size = 600; size <= bytes.size(); size += 512) {
    Write(log, bytes.substr(0, size / 512 * 512) + std::string(bytes.size() - size / 512 * 512, 0));
    ASSERT_THAT(CheckRocksLog(log), Ok()) << size;
  }
}

TEST_F(RocksLogFileTest, BlocksThatACrashLeftUnwrittenAreNoDamage) {
  const fs::path log = LogOf(8, 20'000);
  const std::string bytes = ReadFile(log, 1 << 20).value();
  for (size_t size = 512; size + 16 <= bytes.size(); size += 512) {
    Write(log, bytes.substr(0, size) + std::string(bytes.size() - size, '\0'));
    ASSERT_THAT(CheckRocksLog(log), Ok()) << size;
  }
}

TEST_F(RocksLogFileTest, AStoreWithADamagedLogIsNotOpened) {
  const fs::path log = LogOf(12, 300);
  const std::string bytes = ReadFile(log, 1 << 20).value();
  for (const size_t bit : {size_t{32}, size_t{5000}, 8 * bytes.size() - 9}) {
    Write(log, Flipped(bytes, bit));
    EXPECT_THAT(OpenRocksEngine(Store()), FailsWith(Errc::kCorrupt, "file_damaged", log.string()));
  }
  Write(log, bytes);
  engine_.Open();
  EXPECT_TRUE(*engine_->Get("t/a/11") == RandomBytes(300, 12));
}

TEST_F(RocksLogFileTest, AStoreWithADamagedManifestOrCurrentIsNotOpened) {
  LogOf(3, 300);
  for (const auto& entry : fs::directory_iterator(Database())) {
    const std::string name = entry.path().filename();
    if (name != "CURRENT" && !name.starts_with("MANIFEST-")) continue;
    const std::string bytes = ReadFile(entry.path(), 1 << 20).value();
    for (size_t bit = 3; bit < 8 * bytes.size(); bit += 61) {
      Write(entry.path(), Flipped(bytes, bit));
      ASSERT_THAT(OpenRocksEngine(Store()), FailsWith(Errc::kCorrupt, "file_damaged", name)) << bit;
    }
    Write(entry.path(), bytes);
  }
  engine_.Open();
  EXPECT_TRUE(*engine_->Get("t/a/2") == RandomBytes(300, 3));
}

// What a damaged log of a running store holds is in memory too; a snapshot writes it out.
TEST_F(RocksLogFileTest, ASnapshotReplacesADamagedLog) {
  ASSERT_THAT(PutKey(*engine_, "t/a/x", RandomBytes(300, 1)), Ok());
  const auto log_of = [&]() -> std::optional<EngineFile> {
    for (const EngineFile& file : *engine_->ListFiles()) {
      if (file.name.ends_with(".log") && file.size > 0) return file;
    }
    return {};
  };
  const auto log = log_of();
  ASSERT_TRUE(log);
  const fs::path path = engine_.directory() / "store" / log->name;
  Write(path, Flipped(ReadFile(path, 1 << 20).value(), 1000));
  EXPECT_THAT(engine_->VerifyFile(*log, {}), FailsWith(Errc::kCorrupt, "file_damaged", log->name));
  ASSERT_THAT(engine_->Snapshot((engine_.directory() / "snapshot").string()), Ok());
  EXPECT_THAT(engine_->VerifyFile(*log, {}), FailsWith(Errc::kNotFound, "unknown_file", log->name));
  engine_.Reopen();
  EXPECT_TRUE(*engine_->Get("t/a/x") == RandomBytes(300, 1));
}

}  // namespace
}  // namespace signum
