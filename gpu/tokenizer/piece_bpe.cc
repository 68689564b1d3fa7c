#include <algorithm>
#include <map>
#include <set>

#include "gpu/tokenizer/added_tokens.h"
#include "gpu/tokenizer/bpe_json.h"
#include "gpu/tokenizer/byte_pairs.h"
#include "gpu/tokenizer/json_fields.h"
#include "gpu/tokenizer/piece_text.h"
#include "gpu/tokenizer/utf8.h"

namespace signum {
namespace {

using nlohmann::json;

// Which of the ways there are to say where a blank is put before text.
enum class Blank { kNever, kFirst, kAlways, kEveryPart };

// What a pipeline does with text before BPE: blanks become U+2581, one is put in front, words are
// divided or not.
struct Blanks {
  Blank before = Blank::kNever;
  bool divides = false;  // before each U+2581

  // Errc::kUnusable unsupported_tokenizer, naming what is not understood.
  static Result<Blanks> Parse(const json& file);
};

bool IsBlankToBoundary(const json& step) {
  return TextOf(Member(Member(step, "pattern"), "String")) == " " &&
         TextOf(Member(step, "content")) == kPieceBlank;
}

// Normalizers that Llama 2 and Gemma have: Prepend, and Replace of the blank.
Result<Blanks> OfNormalizer(const json& normalizer) {
  Blanks out;
  bool replaces = false;
  for (const json& step : StepsOf(normalizer, "normalizers")) {
    const std::string type = TextOf(Member(step, "type"));
    const bool prepends = type == "Prepend" && TextOf(Member(step, "prepend")) == kPieceBlank;
    if (prepends) out.before = Blank::kEveryPart;
    const bool known = prepends || (type == "Replace" && IsBlankToBoundary(step));
    if (!known) return UnsupportedTokenizer("normalizer '" + Printable(type) + "' as it is set");
    replaces = replaces || !prepends;
  }
  if (replaces) return out;
  return UnsupportedTokenizer("a normalizer that leaves blanks");
}

// A pre-tokenizer that Mistral has.
Result<Blanks> OfMetaspace(const json& step) {
  const std::string scheme = TextOf(Member(step, "prepend_scheme"));
  const bool older = FlagOf(step, "add_prefix_space", true);
  Blanks out;
  out.before = scheme == "never" || (scheme.empty() && !older) ? Blank::kNever
               : scheme == "first"                             ? Blank::kFirst
                                                               : Blank::kAlways;
  out.divides = FlagOf(step, "split", true);
  const bool known = scheme.empty() || scheme == "always" || out.before != Blank::kAlways;
  if (known && TextOf(Member(step, "replacement")) == kPieceBlank) return out;
  return UnsupportedTokenizer("pre_tokenizer 'Metaspace' as it is set");
}

Result<Blanks> Blanks::Parse(const json& file) {
  const json& normalizer = Member(file, "normalizer");
  const json& step = Member(file, "pre_tokenizer");
  const std::string type = TextOf(Member(step, "type"));
  if (type == "Metaspace" && normalizer.is_null()) return OfMetaspace(step);
  // Gemma's divides at blanks, of which the normalizer has left none.
  const bool idle = type == "Split" && TextOf(Member(Member(step, "pattern"), "String")) == " ";
  if (!step.is_null() && !idle) {
    return UnsupportedTokenizer("pre_tokenizer '" + Printable(type) + "' with byte_fallback");
  }
  return OfNormalizer(normalizer);
}

Result<void> CheckDecoder(const json& decoder) {
  static const std::set<std::string> kKnown = {"Replace", "ByteFallback", "Fuse", "Strip",
                                               "Metaspace"};
  for (const json& step : StepsOf(decoder, "decoders")) {
    const std::string type = TextOf(Member(step, "type"));
    if (kKnown.contains(type)) continue;
    return UnsupportedTokenizer("decoder '" + Printable(type) + "' with byte_fallback");
  }
  return {};
}

// A token that is looked for in normalized text is another text there, and takes the blank that the
// normalizer puts before it.
Result<void> CheckNormalized(const json& file) {
  for (const json& token : Member(file, "added_tokens")) {
    if (!FlagOf(token, "normalized", false)) continue;
    return UnsupportedTokenizer("added token '" + Printable(TextOf(Member(token, "content"))) +
                                "' with normalized, where blanks are put before text");
  }
  return {};
}

class PieceBpe final : public Tokenizer {
 public:
  Result<void> Load(const json& file, std::string_view bos) {
    const json& model = Member(file, "model");
    SIGNUM_TRY(CheckBpe(model));
    SIGNUM_ASSIGN(blanks_, Blanks::Parse(file));
    if (FlagOf(model, "ignore_merges", false)) return UnsupportedTokenizer("model.ignore_merges");
    SIGNUM_TRY(CheckDecoder(Member(file, "decoder")));
    if (blanks_.before == Blank::kEveryPart) SIGNUM_TRY(CheckNormalized(file));
    SIGNUM_ASSIGN(added_, AddedTokens::Parse(file));
    const auto token = [&](const std::string& piece, int32_t id) {
      pieces_[id] = TextOfPiece(piece);
      pairs_.AddToken(piece, id);
    };
    const auto merge = [&](const std::string& left, const std::string& right) {
      return pairs_.AddMerge(left, right);
    };
    SIGNUM_TRY(ReadBpe(model, token, merge));
    pairs_.BeginWithCharacters();
    if (!pairs_.Finish()) return BadTokenizer("model.vocab has not a token for each byte");
    for (const auto& [content, added] : added_.tokens()) {
      pieces_[added.id] = added.special ? "" : content;
    }
    SIGNUM_ASSIGN(bos_, FindBegin(file, bos, *this));
    return {};
  }

  std::vector<int32_t> Encode(std::string_view text, Controls controls) const override {
    const std::string clean = CleanUtf8(std::string(text));
    std::vector<int32_t> ids;
    added_.Split(
        clean, controls,
        [&](std::string_view part) { EncodePart(part, part.data() == clean.data(), ids); },
        [&](int32_t token) { ids.push_back(token); });
    return ids;
  }

  std::vector<int32_t> EncodeRest(std::string_view text) const override {
    const std::string clean = CleanUtf8(std::string(text));
    std::vector<int32_t> ids;
    bool goes_on = true;
    added_.Split(
        clean, Controls::kText,
        [&](std::string_view part) {
          const bool blank = !goes_on && blanks_.before != Blank::kFirst;
          EncodeText(WithBoundaries(part), blank, ids);
        },
        [&](int32_t token) {
          ids.push_back(token);
          goes_on = false;
        });
    return ids;
  }

  using Tokenizer::FindControls;
  std::vector<ControlToken> FindControls(std::string_view text, size_t begin,
                                         size_t end) const override {
    return added_.FindAll(text, begin, end);
  }

  std::string Piece(int32_t token) const override {
    const auto at = pieces_.find(token);
    return at == pieces_.end() ? "" : at->second;
  }

  int32_t Find(std::string_view piece) const override {
    const AddedTokens::Token* token = added_.Find(piece);
    return token != nullptr ? token->id : pairs_.Find(piece);
  }

  int32_t bos() const override { return bos_; }
  int32_t eos() const override { return -1; }
  int64_t size() const override { return pieces_.empty() ? 0 : pieces_.rbegin()->first + 1; }
  bool blank_first() const override { return blanks_.before != Blank::kNever; }

 private:
  // `first`: of the whole text.
  void EncodePart(std::string_view part, bool first, std::vector<int32_t>& ids) const {
    EncodeText(WithBoundaries(part), first || blanks_.before != Blank::kFirst, ids);
  }

  // `text` has its blanks replaced; `blank`: one may be put before it.
  void EncodeText(std::string text, bool blank, std::vector<int32_t>& ids) const {
    const bool has_one = text.starts_with(kPieceBlank) && blanks_.before != Blank::kEveryPart;
    if (blank && blanks_.before != Blank::kNever && !has_one && !text.empty()) {
      text.insert(0, kPieceBlank);
    }
    size_t begin = 0;
    while (begin < text.size()) {
      const size_t next = blanks_.divides ? text.find(kPieceBlank, begin + 1) : text.npos;
      const size_t end = std::min(next, text.size());
      pairs_.Encode(std::string_view(text).substr(begin, end - begin), ids);
      begin = end;
    }
  }

  Blanks blanks_;
  AddedTokens added_;
  BytePairs pairs_;
  std::map<int32_t, std::string> pieces_;
  int32_t bos_ = -1;
};

}  // namespace

Result<std::shared_ptr<const Tokenizer>> OpenPieceBpe(const json& file, std::string_view bos) {
  auto out = std::make_shared<PieceBpe>();
  SIGNUM_TRY(out->Load(file, bos));
  return std::shared_ptr<const Tokenizer>(std::move(out));
}

}  // namespace signum
