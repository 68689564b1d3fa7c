// Shows that a compression job's anonymous memory does not grow with the checkpoint: writes a
// sharded Llama-shaped bf16 checkpoint with a 2 GiB embedding and a fine-tune of it, compresses one
// against the other and rebuilds the result while it samples RssAnon of itself.
//
// usage: compress_memory FOLDER GIGABYTES [THREADS]     FOLDER is made, and removed at the end

#include <fcntl.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "gpu/checkpoint_blobs.h"
#include "gpu/compress.h"
#include "gpu/rebuild.h"
#include "storage/format/safetensors.h"

namespace signum {
namespace {

constexpr uint64_t kHidden = 4096, kMlp = 14336, kVocabulary = 262144, kLayersPerShard = 4;
constexpr size_t kPiece = 1 << 19;  // weights generated at once

template <class T>
T Need(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().reason + ": " + result.error().message);
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

// Largest RssAnon seen, sampled every few milliseconds until stopped.
class AnonymousMemory {
 public:
  AnonymousMemory() : sampler_([this] { Sample(); }) {}
  ~AnonymousMemory() {
    stop_ = true;
    sampler_.join();
  }
  double PeakMiB() const { return static_cast<double>(peak_kib_) / 1024; }

 private:
  void Sample() {
    while (!stop_) {
      std::ifstream status("/proc/self/status");
      for (std::string line; std::getline(status, line);) {
        if (!line.starts_with("RssAnon:")) continue;
        const uint64_t kib = std::strtoull(line.c_str() + 8, nullptr, 10);
        if (kib > peak_kib_) peak_kib_ = kib;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> peak_kib_{0};
  std::thread sampler_;
};

struct Random {
  uint64_t state;
  uint64_t Next() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
  }
};

// Weights of magnitude 2^-7 to 2^-4 with random signs; the fine-tune differs in its low bits.
void WriteTensor(const File& base, const File& fine, uint64_t offset, uint64_t count,
                 Random& random) {
  std::vector<uint64_t> before(kPiece / 4);
  std::vector<uint64_t> after(kPiece / 4);
  for (uint64_t done = 0; done < count; done += kPiece) {
    for (size_t i = 0; i < before.size(); ++i) {
      before[i] = (random.Next() & 0x81ff81ff81ff81ffU) | 0x3c003c003c003c00U;
      after[i] = before[i] ^ (random.Next() & 0x0007000700070007U);
    }
    const size_t bytes = std::min<uint64_t>(kPiece, count - done) * 2;
    Need(base.WriteAt(offset + done * 2, std::as_bytes(std::span(before)).first(bytes)));
    Need(fine.WriteAt(offset + done * 2, std::as_bytes(std::span(after)).first(bytes)));
  }
}

void WriteShard(const std::filesystem::path& folder, const std::string& name,
                const std::vector<TensorInfo>& tensors) {
  std::vector<SafetensorsEntry> entries;
  for (const TensorInfo& info : tensors) entries.push_back({info, 0, 0});
  const std::string header = BuildSafetensorsHeader(entries, {}, 8);
  const File base = Need(File::Open(folder / "base" / name, O_WRONLY | O_CREAT));
  const File fine = Need(File::Open(folder / "fine" / name, O_WRONLY | O_CREAT));
  for (const File* file : {&base, &fine}) Need(file->WriteAt(0, AsBytes(header)));
  Random random{std::hash<std::string>()(name) | 1};
  for (const SafetensorsEntry& entry : entries) {
    WriteTensor(base, fine, header.size() + entry.begin, entry.info.elements(), random);
  }
}

std::vector<TensorInfo> Layer(uint64_t layer) {
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  const auto matrix = [&](const char* name, uint64_t rows, uint64_t columns) {
    return TensorInfo{prefix + name + ".weight", Dtype::kBF16, {rows, columns}};
  };
  return {
      matrix("self_attn.q_proj", kHidden, kHidden), matrix("self_attn.k_proj", 1024, kHidden),
      matrix("self_attn.v_proj", 1024, kHidden),    matrix("self_attn.o_proj", kHidden, kHidden),
      matrix("mlp.gate_proj", kMlp, kHidden),       matrix("mlp.up_proj", kMlp, kHidden),
      matrix("mlp.down_proj", kHidden, kMlp)};
}

void WriteCheckpoints(const std::filesystem::path& folder, double gigabytes) {
  for (const char* side : {"base", "fine"}) {
    std::filesystem::create_directories(folder / side);
    std::ofstream(folder / side / "config.json") << R"({"model_type":"llama"})";
  }
  const TensorInfo embedding{"model.embed_tokens.weight", Dtype::kBF16, {kVocabulary, kHidden}};
  WriteShard(folder, "embedding.safetensors", {embedding});
  double written = static_cast<double>(embedding.bytes());
  for (uint64_t layer = 0; written < gigabytes * 1e9; layer += kLayersPerShard) {
    std::vector<TensorInfo> tensors;
    for (uint64_t i = layer; i < layer + kLayersPerShard; ++i) {
      for (TensorInfo& info : Layer(i)) tensors.push_back(std::move(info));
    }
    for (const TensorInfo& info : tensors) written += static_cast<double>(info.bytes());
    WriteShard(folder, "layers-" + std::to_string(layer) + ".safetensors", tensors);
  }
}

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

uint64_t RebuildAll(const Rebuilder& rebuilder, const Recipe& recipe) {
  std::vector<std::byte> buffer(1 << 20);
  uint64_t total = 0;
  for (const RecipeFile& file : recipe.files) {
    const auto source = Need(rebuilder.OpenFile(file.path));
    for (uint64_t at = 0; at < source->size(); at += buffer.size()) {
      const auto size = std::min<uint64_t>(buffer.size(), source->size() - at);
      Need(source->Read(at, MutableBytes(buffer).first(size)));
    }
    total += source->size();
  }
  return total;
}

void Measure(const std::filesystem::path& folder, int threads) {
  const auto base = Need(Checkpoint::OpenDirectory(folder / "base"));
  const auto fine = Need(Checkpoint::OpenDirectory(folder / "fine"));
  const HashedCheckpoint base_hashed = Need(HashCheckpoint(*base, {}));
  const HashedCheckpoint fine_hashed = Need(HashCheckpoint(*fine, {}));
  const auto base_blobs = std::make_shared<CheckpointBlobs>(*base, base_hashed.recipe);
  const CheckpointBlobs fine_blobs(*fine, fine_hashed.recipe);
  CompressOptions options;
  options.threads = threads;
  const double size = static_cast<double>(fine_hashed.recipe.TotalBytes()) / 1e9;
  {
    const AnonymousMemory memory;
    const auto start = std::chrono::steady_clock::now();
    const CompressSummary summary = Need(CompressCheckpoint(
        *base, base_hashed.BaseDigest(), *fine, fine_hashed.recipe,
        CheckpointBlobSource(*base_blobs, fine_blobs), options, folder / "delta", {}));
    const double seconds = SecondsSince(start);
    std::printf(
        "compress: %.2f GB in %zu files in %.1f s, delta %.2f GB (%.2fx), RssAnon <= %.0f MiB\n",
        size, fine->files().size(), seconds, static_cast<double>(summary.sealed.size) / 1e9,
        size * 1e9 / static_cast<double>(summary.sealed.size), memory.PeakMiB());
  }
  const AnonymousMemory memory;
  const auto start = std::chrono::steady_clock::now();
  const auto delta = Need(DeltaReader::Open(Need(MappedFile::Open(folder / "delta")), "delta"));
  const auto rebuilder = Need(Rebuilder::Create(base, base_hashed.BaseDigest(), base_blobs, delta));
  const uint64_t bytes = RebuildAll(*rebuilder, fine_hashed.recipe);
  const double seconds = SecondsSince(start);
  std::printf("rebuild: %.2f GB in %.1f s on one thread, RssAnon <= %.0f MiB\n",
              static_cast<double>(bytes) / 1e9, seconds, memory.PeakMiB());
}

}  // namespace
}  // namespace signum

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("usage: compress_memory FOLDER GIGABYTES [THREADS]\n", stderr);
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directory(folder);
  int status = 0;
  try {
    signum::WriteCheckpoints(folder, std::atof(argv[2]));
    signum::Measure(folder, argc > 3 ? std::atoi(argv[3]) : 0);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "compress_memory: %s\n", error.what());
    status = 1;
  }
  std::filesystem::remove_all(folder);
  return status;
}
