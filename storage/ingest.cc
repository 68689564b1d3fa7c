#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <ranges>
#include <span>
#include <thread>

#include "storage/object_store.h"

namespace signum {

namespace {

// Storing is hashing, writing and waiting for the disk in turn: a few threads keep all three busy.
constexpr unsigned kMaxThreads = 4;

// One piece of a checkpoint to be stored: where its bytes are, the digest they must have, and how
// they are encoded, if they are.
struct Piece {
  std::shared_ptr<const ByteSource> bytes;
  Digest digest;
  std::optional<ObjectStore::Encoding> encoding;
};

// The base's tensor that a fine-tune's is a difference from: rows may have been added or taken.
std::optional<Digest> Counterpart(const CheckpointSource& base, const TensorInfo& tensor) {
  const auto found = base.Find(tensor.name);
  if (!found) return std::nullopt;
  const TensorInfo& theirs = base.tensors()[*found];
  const auto rows_aside = [](const TensorInfo& info) {
    return std::span(info.shape).subspan(std::min<size_t>(1, info.shape.size()));
  };
  const bool fits = theirs.dtype == tensor.dtype && theirs.shape.size() == tensor.shape.size() &&
                    std::ranges::equal(rows_aside(theirs), rows_aside(tensor));
  return fits ? base.KnownDigest(*found) : std::nullopt;
}

// Lists what a checkpoint's recipe names; with a base, to be encoded.
class Pieces {
 public:
  Pieces(const Checkpoint& checkpoint, const Recipe& recipe, const CheckpointSource* base)
      : base_(base) {
    std::map<size_t, const SafetensorsHeader*> headers;  // by file
    for (const auto& shard : checkpoint.shards()) headers[shard.file] = &shard.header;
    for (size_t i = 0; i < checkpoint.files().size(); ++i) {
      const auto header = headers.find(i);
      if (header == headers.end()) {
        AddBytes(checkpoint.files()[i].bytes, recipe.files[i].digest);
      } else {
        AddShard(checkpoint.files()[i].bytes, recipe.files[i], *header->second);
      }
    }
  }

  std::vector<Piece> Take() { return std::move(pieces_); }

 private:
  void AddBytes(std::shared_ptr<const ByteSource> bytes, const Digest& digest) {
    Piece& piece = pieces_.emplace_back(Piece{std::move(bytes), digest, {}});
    if (base_ != nullptr) piece.encoding = ObjectStore::Encoding{};
  }

  void AddShard(const std::shared_ptr<const ByteSource>& file, const RecipeFile& recipe,
                const SafetensorsHeader& header) {
    AddBytes(std::make_shared<SliceSource>(file, 0, header.header_bytes), recipe.header);
    for (size_t i = 0; i < header.tensors.size(); ++i) {
      const SafetensorsEntry& entry = header.tensors[i];
      AddBytes(std::make_shared<SliceSource>(file, header.header_bytes + entry.begin,
                                             entry.end - entry.begin),
               recipe.tensors[i]);
      if (base_ == nullptr) continue;
      pieces_.back().encoding = {LayoutOf(entry.info.dtype), Counterpart(*base_, entry.info)};
    }
  }

  const CheckpointSource* base_;
  std::vector<Piece> pieces_;
};

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
    const auto put = piece.encoding ? objects_.PutEncoded(*piece.bytes, piece.digest,
                                                          *piece.encoding, std::ref(steps))
                                    : objects_.Put(*piece.bytes, piece.digest, std::ref(steps));
    if (put.has_error()) return put.error();
    stored_ += put->stored_bytes;
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
  stored += put.stored_bytes;
  return put.digest;
}

// The recipe comes last: once it is there, so is everything that it names.
Result<IngestedCheckpoint> Ingest(ObjectStore& objects, const Checkpoint& checkpoint,
                                  const CheckpointSource* base, const ByteProgress& progress) {
  Progress shared(progress);
  IngestedCheckpoint out;
  HalfSteps hashing(shared);
  SIGNUM_ASSIGN(out.hashed, HashCheckpoint(checkpoint, std::ref(hashing)));
  PieceStorer storer(objects, Pieces(checkpoint, out.hashed.recipe, base).Take(), shared);
  SIGNUM_ASSIGN(out.stored_bytes, storer.Run());
  SIGNUM_ASSIGN(out.recipe_digest,
                StoreDocument(objects, out.hashed.recipe.Serialize(), out.stored_bytes));
  return out;
}

}  // namespace

Result<IngestedBase> IngestBase(ObjectStore& objects, const Checkpoint& checkpoint,
                                const ByteProgress& progress) {
  SIGNUM_ASSIGN(auto ingested, Ingest(objects, checkpoint, nullptr, progress));
  IngestedBase out{std::move(ingested), {}};
  SIGNUM_ASSIGN(
      out.manifest_digest,
      StoreDocument(objects, SerializeBaseManifest(out.hashed.tensors), out.stored_bytes));
  return out;
}

Result<IngestedCheckpoint> IngestFineTune(ObjectStore& objects, const Checkpoint& checkpoint,
                                          const CheckpointSource& base,
                                          const ByteProgress& progress) {
  return Ingest(objects, checkpoint, &base, progress);
}

}  // namespace signum
