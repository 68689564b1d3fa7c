// What the exact tier takes of an upload, beside other lossless ways on the same pairs, and how
// fast it is on one core. targets.md: at least ZipLLM's share (which is XOR with the base and zstd,
// "BitX"), and 1 GB/s decode.
//
// usage: exact_bench BASE_DIR FINE_DIR...

#include <time.h>
#include <zstd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <random>
#include <stdexcept>
#include <vector>

#include "storage/object_store.h"

namespace signum {
namespace {

constexpr int kLevel = 3;    // zstd's default, for the other ways
constexpr int kRounds = 15;  // the fastest counts

template <class T>
T Must(Result<T> result) {
  if (result.has_error()) throw std::runtime_error(result.error().message);
  return *std::move(result);
}

// Of this thread on its core: other processes take none of it.
double ThreadSeconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Of each item the fastest round, all added up.
double Fastest(const auto& items, auto work) {
  double total = 0;
  for (const auto& item : items) {
    double best = 1e9;
    for (int round = 0; round < kRounds; ++round) {
      const double start = ThreadSeconds();
      work(item);
      best = std::min(best, ThreadSeconds() - start);
    }
    total += best;
  }
  return total;
}

std::string All(const ByteSource& source) { return Must(ReadAll(source, uint64_t{1} << 40)); }

uint64_t Zstd(const std::string& bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  return ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), kLevel);
}

// A tensor and its base's, which the small family has for every one.
struct Pair {
  TensorInfo info;
  std::string fine, base;
};

std::vector<Pair> PairsOf(const CheckpointSource& base, const CheckpointSource& fine) {
  std::vector<Pair> pairs;
  for (size_t i = 0; i < fine.tensors().size(); ++i) {
    const TensorInfo& info = fine.tensors()[i];
    const size_t beside = base.Find(info.name).value();
    pairs.push_back({info, All(*Must(fine.Open(i))), All(*Must(base.Open(beside)))});
  }
  return pairs;
}

// The 16-bit numbers as F32 ones whose low half is noise, as training in F32 leaves them.
std::vector<Pair> AsF32(const std::vector<Pair>& pairs) {
  std::mt19937 random(1);
  const auto widen = [&](const std::string& narrow) {
    std::string wide(2 * narrow.size(), '\0');
    for (size_t i = 0; i < narrow.size(); i += 2) {
      StoreLe(&wide[2 * i], static_cast<uint16_t>(random()));
      StoreLe(&wide[2 * i + 2], LoadLe<uint16_t>(&narrow[i]));
    }
    return wide;
  };
  std::vector<Pair> wide;
  for (const Pair& pair : pairs) {
    if (DtypeSize(pair.info.dtype) != 2) continue;
    wide.push_back({pair.info, widen(pair.fine), widen(pair.base)});
    wide.back().info.dtype = Dtype::kF32;
  }
  return wide;
}

std::string Xor(const Pair& pair) {
  std::string out = pair.fine;
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<char>(out[i] ^ pair.base[i]);
  return out;
}

uint64_t ZstdOfPlanes(const std::string& bytes, size_t width) {
  uint64_t total = 0;
  for (size_t p = 0; p < width; ++p) {
    std::string plane;
    for (size_t i = p; i < bytes.size(); i += width) plane.push_back(bytes[i]);
    total += Zstd(plane);
  }
  return total;
}

struct Shares {
  std::string name;
  double exact, plain, bitx, planes;
};

// Stored as a registry stores it, on a disk.
Shares Measure(const Checkpoint& base, const std::filesystem::path& directory) {
  const auto fine = Must(Checkpoint::OpenDirectory(directory));
  const std::string store = std::filesystem::temp_directory_path() / "exact_bench.store";
  std::filesystem::remove_all(store);
  uint64_t exact = 0;
  {
    const auto engine = Must(OpenRocksEngine(store));
    ObjectStore objects(*engine);
    const auto ingested = Must(IngestBase(objects, base, {}));
    const auto stored = Must(StoredCheckpoint::Open(objects, ingested.recipe_digest));
    exact = Must(IngestFineTune(objects, *fine, *stored, {})).stored_bytes;
  }
  std::filesystem::remove_all(store);
  uint64_t upload = 0, plain = 0, others = 0, bitx = 0, planes = 0;
  for (const CheckpointFile& file : fine->files()) {
    const uint64_t packed = Zstd(All(*file.bytes));
    upload += file.bytes->size();
    plain += packed;
    if (!file.path.ends_with(".safetensors")) others += packed;
  }
  for (const Pair& pair : PairsOf(base, *fine)) {
    bitx += Zstd(Xor(pair));
    planes += ZstdOfPlanes(Xor(pair), DtypeSize(pair.info.dtype));
  }
  const auto share = [&](uint64_t bytes) {
    return 100.0 * static_cast<double>(bytes) / static_cast<double>(upload);
  };
  return {directory.filename(), share(exact), share(plain), share(bitx + others),
          share(planes + others)};
}

void Print(const char* what, const std::vector<Shares>& all, double Shares::*share) {
  std::printf("%-46s", what);
  for (const Shares& each : all) std::printf("%9.1f", each.*share);
  std::printf("\n");
}

// ---- rates

struct Encoded {
  std::string bytes;
  std::shared_ptr<const ByteSource> base;
  uint64_t size;
};

Encoded EncodePair(const Pair& pair) {
  Encoded out{{}, std::make_shared<MemorySource>(pair.base), pair.fine.size()};
  const auto sink = [&](ConstBytes piece) -> Result<void> {
    out.bytes.append(AsText(piece));
    return {};
  };
  Must(EncodeObject(MemorySource(pair.fine), LayoutOf(pair.info.dtype), out.base.get(), sink, {}));
  return out;
}

void Decode(const Encoded& encoded, std::vector<std::byte>& out) {
  const auto object = Must(EncodedObject::Open(std::make_shared<MemorySource>(encoded.bytes),
                                               encoded.base, Digest(), nullptr));
  for (uint64_t at = 0; at < encoded.size; at += out.size()) {
    const size_t take = std::min<uint64_t>(out.size(), encoded.size - at);
    if (object->Read(at, MutableBytes(out).first(take)).has_error())
      throw std::runtime_error("bad");
  }
}

void PrintRates(const char* what, const std::vector<Pair>& pairs) {
  std::vector<Encoded> encoded;
  uint64_t bytes = 0, stored = 0;
  for (const Pair& pair : pairs) {
    encoded.push_back(EncodePair(pair));
    bytes += pair.fine.size();
    stored += encoded.back().bytes.size();
  }
  std::vector<std::byte> out(1 << 20);
  const double encoding = Fastest(pairs, [](const Pair& pair) { EncodePair(pair); });
  const double decoding = Fastest(encoded, [&](const Encoded& each) { Decode(each, out); });
  const double hashing = Fastest(pairs, [](const Pair& pair) { Sha256::Of(AsBytes(pair.fine)); });
  const double copying = Fastest(pairs, [&](const Pair& pair) {
    for (size_t at = 0; at < pair.fine.size(); at += out.size()) {
      std::memcpy(out.data(), pair.fine.data() + at, std::min(out.size(), pair.fine.size() - at));
    }
  });
  const auto rate = [&](double seconds) { return static_cast<double>(bytes) / seconds / 1e9; };
  std::printf(
      "\n%s: GB/s of raw bytes on one core, each tensor's fastest of %d rounds (CPU time)\n", what,
      kRounds);
  std::printf("%-46s%9.2f\n", "encode, each block decoded again and hashed", rate(encoding));
  std::printf("%-46s%9.2f   target >= 1; %.3f x memcpy\n", "decode, each block checked",
              rate(decoding), copying / decoding);
  std::printf("%-46s%9.2f\n", "SHA-256 alone", rate(hashing));
  std::printf("%-46s%9.2f\n", "memcpy", rate(copying));
  std::printf("%-46s%9.1f\n", "encoded, % of the raw bytes",
              100.0 * static_cast<double>(stored) / static_cast<double>(bytes));
}

int Main(int argc, char** argv) {
  if (argc < 3) throw std::runtime_error("usage: exact_bench BASE_DIR FINE_DIR...");
  const auto base = Must(Checkpoint::OpenDirectory(argv[1]));
  std::vector<Shares> all;
  for (int i = 2; i < argc; ++i) all.push_back(Measure(*base, argv[i]));
  std::printf("%-46s", "lossless size, % of the upload");
  for (const Shares& each : all) std::printf("%9s", each.name.c_str());
  std::printf("\n");
  Print("exact tier, as stored", all, &Shares::exact);
  Print("XOR + byte planes + zstd -3", all, &Shares::planes);
  Print("XOR + zstd -3 (ZipLLM's BitX): the target", all, &Shares::bitx);
  Print("zstd -3 of the files", all, &Shares::plain);
  const std::vector<Pair> pairs = PairsOf(*base, *Must(Checkpoint::OpenDirectory(argv[2])));
  PrintRates("as uploaded", pairs);
  PrintRates("as F32 with noise in the low halves", AsF32(pairs));
  return 0;
}

}  // namespace
}  // namespace signum

int main(int argc, char** argv) try {
  return signum::Main(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "exact_bench: %s\n", error.what());
  return 1;
}
