#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "storage/object_store.h"

namespace signum {

namespace {

// Storing is hashing, writing and waiting for the disk in turn: a few threads keep all three busy.
constexpr unsigned kMaxThreads = 4;

// One piece of a checkpoint to be stored: where its bytes are and the digest they must have.
struct Piece {
  std::shared_ptr<const ByteSource> bytes;
  Digest digest;
};

// The pieces of a file as its recipe names them.
std::vector<Piece> PiecesOf(const CheckpointFile& file, const RecipeFile& recipe,
                            const SafetensorsHeader* header) {
  if (header == nullptr) return {{file.bytes, recipe.digest}};
  std::vector<Piece> pieces;
  pieces.push_back(
      {std::make_shared<SliceSource>(file.bytes, 0, header->header_bytes), recipe.header});
  for (size_t i = 0; i < header->tensors.size(); ++i) {
    const SafetensorsEntry& entry = header->tensors[i];
    pieces.push_back({std::make_shared<SliceSource>(file.bytes, header->header_bytes + entry.begin,
                                                    entry.end - entry.begin),
                      recipe.tensors[i]});
  }
  return pieces;
}

std::vector<Piece> PiecesOf(const Checkpoint& checkpoint, const Recipe& recipe) {
  std::map<size_t, const SafetensorsHeader*> headers;  // by file
  for (const auto& shard : checkpoint.shards()) headers[shard.file] = &shard.header;
  std::vector<Piece> pieces;
  for (size_t i = 0; i < checkpoint.files().size(); ++i) {
    const auto header = headers.find(i);
    auto more = PiecesOf(checkpoint.files()[i], recipe.files[i],
                         header == headers.end() ? nullptr : header->second);
    std::move(more.begin(), more.end(), std::back_inserter(pieces));
  }
  return pieces;
}

// Reports bytes done to the caller's callback, one thread at a time.
class Progress {
 public:
  explicit Progress(const ByteProgress& callback) : callback_(callback) {}

  // False once the caller asked to stop.
  bool Add(uint64_t bytes) {
    std::lock_guard lock(mutex_);
    done_ += bytes;
    if (!stopped_ && callback_ && !callback_(done_)) stopped_ = true;
    return !stopped_;
  }

 private:
  const ByteProgress& callback_;
  std::mutex mutex_;
  uint64_t done_ = 0;
  bool stopped_ = false;
};

// Turns the growing counts of one operation into what was added, halved: hashing and storing are
// each half of a byte's way.
class HalfSteps {
 public:
  explicit HalfSteps(Progress& progress) : progress_(progress) {}
  bool operator()(uint64_t done) {
    const uint64_t half = done / 2;
    return progress_.Add(half - std::exchange(reported_, half));
  }

 private:
  Progress& progress_;
  uint64_t reported_ = 0;
};

// Stores pieces on several threads. The first error ends it.
class PieceStorer {
 public:
  PieceStorer(ObjectStore& objects, std::vector<Piece> pieces, Progress& progress)
      : objects_(objects), pieces_(std::move(pieces)), progress_(progress) {}

  // Returns the bytes that were new.
  Result<uint64_t> Run() {
    const size_t threads = std::clamp<size_t>(pieces_.size(), 1, kMaxThreads);
    {
      std::vector<std::jthread> pool;
      for (size_t i = 1; i < threads; ++i) pool.emplace_back([this] { Work(); });
      Work();
    }
    if (error_) return *error_;
    return stored_.load();
  }

 private:
  void Work() {
    for (size_t i = next_++; i < pieces_.size() && !failed_; i = next_++) {
      const auto stored = Store(pieces_[i]);
      if (stored.has_value()) continue;
      std::lock_guard lock(mutex_);
      if (!error_) error_ = stored.error();
      failed_ = true;
    }
  }

  Result<void> Store(const Piece& piece) {
    HalfSteps steps(progress_);
    const auto put = objects_.Put(*piece.bytes, piece.digest, std::ref(steps));
    if (put.has_error()) return put.error();
    if (put->created) stored_ += put->size;
    if (steps(piece.bytes->size())) return {};
    return Fail(Errc::kCancelled, "cancelled", "ingest was stopped");
  }

  ObjectStore& objects_;
  const std::vector<Piece> pieces_;
  Progress& progress_;
  std::atomic<size_t> next_ = 0;
  std::atomic<uint64_t> stored_ = 0;
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  std::optional<Error> error_;
};

// Stores a document; adds to `stored` what was new.
Result<Digest> StoreDocument(ObjectStore& objects, const std::string& document, uint64_t& stored) {
  SIGNUM_ASSIGN(const auto put, objects.Put(AsBytes(document)));
  if (put.created) stored += put.size;
  return put.digest;
}

}  // namespace

// The recipe comes last: once it is there, so is everything that it names.
Result<IngestedCheckpoint> IngestCheckpoint(ObjectStore& objects, const Checkpoint& checkpoint,
                                            const ByteProgress& progress) {
  Progress shared(progress);
  IngestedCheckpoint out;
  HalfSteps hashing(shared);
  SIGNUM_ASSIGN(out.hashed, HashCheckpoint(checkpoint, std::ref(hashing)));
  PieceStorer storer(objects, PiecesOf(checkpoint, out.hashed.recipe), shared);
  SIGNUM_ASSIGN(out.stored_bytes, storer.Run());
  SIGNUM_ASSIGN(
      out.base_manifest_digest,
      StoreDocument(objects, SerializeBaseManifest(out.hashed.tensors), out.stored_bytes));
  SIGNUM_ASSIGN(out.recipe_digest,
                StoreDocument(objects, out.hashed.recipe.Serialize(), out.stored_bytes));
  return out;
}

}  // namespace signum
