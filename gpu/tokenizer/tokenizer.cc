#include "gpu/tokenizer/tokenizer.h"

#include <map>
#include <mutex>

#include "storage/base/bytes.h"
#include "storage/base/digest.h"

namespace signum {
namespace {

Result<std::shared_ptr<const Tokenizer>> Read(std::string_view file, std::string_view bytes,
                                              std::string_view bos, std::string_view added) {
  return file == "tokenizer.json" ? OpenTokenizerJson(bytes, bos) : OpenSentencePiece(bytes, added);
}

// What is open in this process, by the digest of what it was read from.
struct Shared {
  std::mutex mutex;
  std::map<Digest, std::weak_ptr<const Tokenizer>> open;
};

Shared& Opened() {
  static Shared shared;
  return shared;
}

Digest KeyOf(std::string_view file, std::string_view bytes, std::string_view bos,
             std::string_view added) {
  Sha256 hash;
  for (const std::string_view part : {file, bos, added}) {
    hash.Update(AsBytes(part));
    hash.Update(AsBytes(std::string_view("\0", 1)));
  }
  hash.Update(AsBytes(bytes));
  return hash.Finish();
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> Tokenizer::Open(std::string_view file,
                                                         std::string_view bytes,
                                                         std::string_view bos,
                                                         std::string_view added) {
  const Digest key = KeyOf(file, bytes, bos, added);
  Shared& shared = Opened();
  // Reading under the lock: two that want the same wait for one reading of it.
  const std::lock_guard lock(shared.mutex);
  std::erase_if(shared.open, [](const auto& entry) { return entry.second.expired(); });
  if (const auto at = shared.open.find(key); at != shared.open.end()) {
    if (auto tokenizer = at->second.lock()) return tokenizer;
  }
  auto tokenizer = Read(file, bytes, bos, added);
  if (tokenizer) shared.open.insert_or_assign(key, *tokenizer);
  return tokenizer;
}

}  // namespace signum
