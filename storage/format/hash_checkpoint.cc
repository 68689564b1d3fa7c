#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "storage/format/checkpoint.h"

namespace signum {

namespace {

constexpr size_t kReadBytes = 256 * 1024;  // small enough that the second hash finds it in cache
constexpr unsigned kMaxThreads = 8;

// Counts bytes for the caller's callback, from several threads.
class SharedProgress {
 public:
  explicit SharedProgress(const ByteProgress& callback) : callback_(callback) {}

  Result<void> Add(uint64_t bytes) {
    const std::scoped_lock lock(mutex_);
    done_ += bytes;
    if (!stopped_ && callback_ && !callback_(done_)) stopped_ = true;
    if (stopped_) return Fail(Errc::kCancelled, "cancelled", "hashing was stopped");
    return {};
  }

 private:
  const ByteProgress& callback_;
  std::mutex mutex_;
  uint64_t done_ = 0;
  bool stopped_ = false;
};

// Hashes one file as a whole and by its pieces, from one read of the bytes.
class FileHasher {
 public:
  FileHasher(const ByteSource& bytes, SharedProgress* progress)
      : bytes_(bytes), progress_(*progress), buffer_(bytes.View().empty() ? kReadBytes : 0) {}

  // Digest of the next `size` bytes, which also go into the whole file's.
  Result<Digest> Piece(uint64_t size) {
    Sha256 piece;
    for (const uint64_t end = at_ + size; at_ < end;) {
      SIGNUM_ASSIGN(const ConstBytes block, Next(std::min<uint64_t>(kReadBytes, end - at_)));
      piece.Update(block);
      whole_.Update(block);
      SIGNUM_TRY(progress_.Add(block.size()));
    }
    return piece.Finish();
  }

  // The rest, which is a piece of nothing.
  Result<Digest> Rest() {
    while (at_ < bytes_.size()) {
      SIGNUM_ASSIGN(const ConstBytes block,
                    Next(std::min<uint64_t>(kReadBytes, bytes_.size() - at_)));
      whole_.Update(block);
      SIGNUM_TRY(progress_.Add(block.size()));
    }
    return whole_.Finish();
  }

 private:
  Result<ConstBytes> Next(size_t size) {
    const uint64_t from = at_;
    at_ += size;
    if (buffer_.empty()) return bytes_.View().subspan(from, size);
    SIGNUM_TRY(bytes_.Read(from, MutableBytes(buffer_).first(size)));
    return ConstBytes(buffer_).first(size);
  }

  const ByteSource& bytes_;
  SharedProgress& progress_;
  std::vector<std::byte> buffer_;
  Sha256 whole_;
  uint64_t at_ = 0;
};

Result<RecipeFile> HashFile(const CheckpointFile& file, const SafetensorsHeader* header,
                            SharedProgress* progress) {
  RecipeFile out;
  out.path = file.path;
  out.size = file.bytes->size();
  FileHasher hasher(*file.bytes, progress);
  if (header != nullptr) {
    out.safetensors = true;
    out.header_size = header->header_bytes;
    SIGNUM_ASSIGN(out.header, hasher.Piece(header->header_bytes));
    for (const SafetensorsEntry& entry : header->tensors) {
      SIGNUM_ASSIGN(out.tensors.emplace_back(), hasher.Piece(entry.end - entry.begin));
    }
  }
  SIGNUM_ASSIGN(out.digest, hasher.Rest());
  return out;
}

// Hashes every file, the biggest first, on as many threads as help.
class ParallelHasher {
 public:
  ParallelHasher(const Checkpoint& checkpoint, const ByteProgress& progress)
      : checkpoint_(checkpoint), progress_(progress), results_(checkpoint.files().size()) {
    headers_.resize(checkpoint.files().size());
    for (const auto& shard : checkpoint.shards()) headers_[shard.file] = &shard.header;
    for (size_t i = 0; i < results_.size(); ++i) order_.push_back(i);
    std::stable_sort(order_.begin(), order_.end(), [&](size_t a, size_t b) {
      return checkpoint.files()[a].bytes->size() > checkpoint.files()[b].bytes->size();
    });
  }

  Result<Recipe> Run() {
    const size_t threads = std::clamp<size_t>(
        std::min<size_t>(std::thread::hardware_concurrency(), checkpoint_.shards().size()), 1,
        kMaxThreads);
    {
      std::vector<std::jthread> pool;
      for (size_t i = 1; i < threads; ++i) pool.emplace_back([this] { Work(); });
      Work();
    }
    Recipe recipe;
    for (Result<RecipeFile>& result : results_) {
      SIGNUM_ASSIGN(recipe.files.emplace_back(), std::move(result));
    }
    return recipe;
  }

 private:
  void Work() {
    for (size_t i = next_++; i < order_.size(); i = next_++) {
      const size_t file = order_[i];
      results_[file] = HashFile(checkpoint_.files()[file], headers_[file], &progress_);
    }
  }

  const Checkpoint& checkpoint_;
  SharedProgress progress_;
  std::vector<const SafetensorsHeader*> headers_;  // by file; nullptr for plain ones
  std::vector<size_t> order_;
  std::vector<Result<RecipeFile>> results_;  // by file
  std::atomic<size_t> next_ = 0;
};

}  // namespace

Digest HashedCheckpoint::BaseDigest() const {
  return Sha256::Of(AsBytes(SerializeBaseManifest(tensors)));
}

Result<HashedCheckpoint> HashCheckpoint(const Checkpoint& checkpoint,
                                        const ByteProgress& progress) {
  HashedCheckpoint out;
  SIGNUM_ASSIGN(out.recipe, ParallelHasher(checkpoint, progress).Run());
  for (size_t i = 0; i < checkpoint.tensors().size(); ++i) {
    const Checkpoint::Place& place = checkpoint.places()[i];
    const RecipeFile& file = out.recipe.files[checkpoint.shards()[place.shard].file];
    out.tensors.push_back({checkpoint.tensors()[i], file.tensors[place.entry]});
  }
  return out;
}

}  // namespace signum
