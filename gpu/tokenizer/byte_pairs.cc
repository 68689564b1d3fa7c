#include "gpu/tokenizer/byte_pairs.h"

#include <queue>
#include <tuple>

namespace signum {
namespace {

uint64_t PairOf(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

// As SentencePiece names the token of a byte.
std::string BytePiece(int byte) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  return {'<', '0', 'x', kDigits[byte / 16], kDigits[byte % 16], '>'};
}

// Of the first character of `text`, which is UTF-8.
size_t CharacterBytes(std::string_view text) {
  size_t out = 1;
  while (out < text.size() && (text[out] & 0xC0) == 0x80) ++out;
  return out;
}

}  // namespace

struct BytePairs::Symbol {
  int32_t id;              // -1: merged into the one before
  int32_t previous, next;  // -1: none
};

// One word on its way from bytes to tokens: a linked list of symbols, and the merges that are
// possible, some of them outdated.
class BytePairs::Word {
 public:
  Word(const BytePairs& pairs, std::string_view text) : pairs_(pairs) {
    const std::vector<int32_t> begin = pairs.SymbolsOf(text);
    symbols_.reserve(begin.size());
    for (const int32_t id : begin) {
      const auto at = static_cast<int32_t>(symbols_.size());
      symbols_.push_back({id, at - 1, at + 1});
    }
    if (!symbols_.empty()) symbols_.back().next = -1;
    for (size_t at = 0; at < symbols_.size(); ++at) Offer(static_cast<int32_t>(at));
  }

  void MergeAll() {
    while (!offers_.empty()) {
      const Offered best = offers_.top();
      offers_.pop();
      Symbol& left = symbols_[static_cast<size_t>(best.at)];
      if (left.id != best.left || left.next < 0) continue;
      Symbol& right = symbols_[static_cast<size_t>(left.next)];
      if (right.id != best.right) continue;
      left.id = best.merged;
      left.next = right.next;
      right.id = -1;
      if (left.next >= 0) symbols_[static_cast<size_t>(left.next)].previous = best.at;
      Offer(left.previous);
      Offer(best.at);
    }
  }

  void AppendTo(std::vector<int32_t>& ids) const {
    for (const Symbol& symbol : symbols_) {
      if (symbol.id >= 0) ids.push_back(symbol.id);
    }
  }

 private:
  struct Offered {
    int32_t rank, at, left, right, merged;
    bool operator<(const Offered& other) const {  // the lowest rank on top, the leftmost first
      return std::tie(rank, at) > std::tie(other.rank, other.at);
    }
  };

  void Offer(int32_t at) {
    if (at < 0 || symbols_[static_cast<size_t>(at)].next < 0) return;
    const int32_t left = symbols_[static_cast<size_t>(at)].id;
    const int32_t right = symbols_[static_cast<size_t>(symbols_[static_cast<size_t>(at)].next)].id;
    const auto merge = pairs_.merges_.find(PairOf(left, right));
    if (merge == pairs_.merges_.end()) return;
    offers_.push({merge->second.rank, at, left, right, merge->second.id});
  }

  const BytePairs& pairs_;
  std::vector<Symbol> symbols_;
  std::priority_queue<Offered> offers_;
};

bool BytePairs::AddMerge(const std::string& left, const std::string& right) {
  const int32_t a = Find(left), b = Find(right), merged = Find(left + right);
  if (a < 0 || b < 0 || merged < 0) return false;
  merges_.try_emplace(PairOf(a, b), Merge{static_cast<int32_t>(merges_.size()), merged});
  return true;
}

bool BytePairs::Finish() {
  bool all = true;
  for (int byte = 0; byte < 256; ++byte) {
    bytes_[byte] = Find(characters_ ? BytePiece(byte) : std::string(1, static_cast<char>(byte)));
    all = all && bytes_[byte] >= 0;
  }
  return all || !characters_;
}

std::vector<int32_t> BytePairs::SymbolsOf(std::string_view word) const {
  std::vector<int32_t> out;
  out.reserve(word.size());
  while (!word.empty()) {
    const size_t length = characters_ ? CharacterBytes(word) : 1;
    const int32_t id = characters_ ? Find(word.substr(0, length)) : -1;
    if (id >= 0) out.push_back(id);
    for (size_t i = 0; id < 0 && i < length; ++i) {
      const int32_t byte = bytes_[static_cast<unsigned char>(word[i])];
      if (byte >= 0) out.push_back(byte);
    }
    word.remove_prefix(length);
  }
  return out;
}

void BytePairs::Encode(std::string_view word, std::vector<int32_t>& ids) const {
  if (whole_words_) {
    if (const int32_t id = Find(word); id >= 0) return ids.push_back(id);
  }
  Word symbols(*this, word);
  symbols.MergeAll();
  symbols.AppendTo(ids);
}

int32_t BytePairs::Find(std::string_view bytes) const {
  const auto at = ids_.find(bytes);
  return at == ids_.end() ? -1 : at->second;
}

}  // namespace signum
