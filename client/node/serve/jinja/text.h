#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace signum::client::jinja {

// Bytes of UTF-8 that remember which of them came from outside the template (tainted): what
// somebody said in a message must not be taken for the template's own control tokens. Taking parts
// and putting texts together keeps it byte by byte.
class Text {
 public:
  struct Range {
    size_t begin = 0, end = 0;
    bool operator==(const Range&) const = default;
  };

  Text() = default;
  explicit Text(std::string bytes, bool tainted = false);

  const std::string& bytes() const { return bytes_; }
  std::string_view view() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  // In order, apart from one another, none empty.
  const std::vector<Range>& tainted() const { return tainted_; }

  void Append(std::string_view bytes, bool tainted = false);
  void Append(const Text& other) { Append(other, 0, other.size()); }
  void Append(const Text& other, size_t begin, size_t end);
  Text Part(size_t begin, size_t end) const;

  // Made by `safe` or `escape`: Python's Markup, which escapes what is joined to it.
  bool markup = false;

 private:
  void Taint(size_t begin, size_t end);

  std::string bytes_;
  std::vector<Range> tainted_;
};

}  // namespace signum::client::jinja
