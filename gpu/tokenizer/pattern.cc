#include "gpu/tokenizer/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "storage/base/name.h"

namespace signum {
namespace {

constexpr uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;

template <auto free_function>
struct FreeBy {
  template <class T>
  void operator()(T* pointer) const {
    free_function(pointer);
  }
};

Error Unsupported(std::string_view regex, const std::string& why) {
  return Fail(Errc::kUnusable, "unsupported_tokenizer",
              "tokenizer.json: the regular expression '" + Printable(regex.substr(0, 200)) +
                  "' is not understood: " + why);
}

// Where the two syntaxes write different things the same way: White_Space is spelled out, and what
// would silently mean something else is refused.
Result<std::string> Translated(std::string_view regex) {
  if (regex.find("&&") != regex.npos) return Unsupported(regex, "&& in classes");
  std::string out;
  for (size_t at = 0; at < regex.size(); ++at) {
    if (regex[at] != '\\' || at + 1 == regex.size()) {
      out += regex[at];
      continue;
    }
    const char escaped = regex[++at];
    if (escaped == 'h' || escaped == 'H') return Unsupported(regex, "hexadecimal digits as \\h");
    if (escaped == 's') {
      out += "\\p{White_Space}";
    } else if (escaped == 'S') {
      out += "\\P{White_Space}";
    } else {
      (out += '\\') += escaped;
    }
  }
  return out;
}

}  // namespace

struct Pattern::Code {
  std::unique_ptr<pcre2_code, FreeBy<pcre2_code_free>> code;
};

Result<Pattern> Pattern::Compile(std::string_view regex) {
  SIGNUM_ASSIGN(const std::string translated, Translated(regex));
  const std::unique_ptr<pcre2_compile_context, FreeBy<pcre2_compile_context_free>> context(
      pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  size_t at = 0;
  auto code = std::make_shared<Code>();
  code->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                 kOptions, &error, &at, context.get()));
  if (code->code == nullptr) {
    std::array<unsigned char, 256> message{};
    pcre2_get_error_message(error, message.data(), message.size());
    return Unsupported(regex, reinterpret_cast<const char*>(message.data()));
  }
  // Without it (a hardened system) matching is interpreted.
  (void)pcre2_jit_compile(code->code.get(), PCRE2_JIT_COMPLETE);
  Pattern out;
  out.code_ = std::move(code);
  return out;
}

std::string Pattern::Quoted(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && std::isalnum(byte) == 0) out += '\\';
    out += c;
  }
  return out;
}

// One alternative a text, the longest first: the first that fits is the longest.
Result<Pattern> Pattern::AnyOf(std::vector<std::string> texts) {
  std::ranges::sort(texts, [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() > b.size() : a < b;
  });
  std::string regex;
  for (const std::string& text : texts) {
    if (!regex.empty()) regex += '|';
    regex += Quoted(text);
  }
  return Compile(regex);
}

void Pattern::Split(std::string_view text,
                    const std::function<void(std::string_view part, bool matched)>& part) const {
  const pcre2_code* code = code_->code.get();
  const std::unique_ptr<pcre2_match_data, FreeBy<pcre2_match_data_free>> match(
      pcre2_match_data_create(1, nullptr));
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const auto search = [&](size_t from, uint32_t options) {
    return pcre2_match(code, subject, text.size(), from,
                       options | PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, match.get(), nullptr);
  };
  size_t done = 0;
  while (done < text.size()) {
    int found = search(done, 0);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = search(done, PCRE2_NO_JIT);
    if (found < 0) break;  // no match, or a limit
    const size_t* span = pcre2_get_ovector_pointer(match.get());
    if (span[0] < done || span[1] <= span[0]) break;  // \K in a lookaround
    if (span[0] > done) part(text.substr(done, span[0] - done), false);
    part(text.substr(span[0], span[1] - span[0]), true);
    done = span[1];
  }
  if (done < text.size()) part(text.substr(done), false);
}

}  // namespace signum
