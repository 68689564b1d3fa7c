#include <nlohmann/json.hpp>
#include <vector>

#include "storage/base/name.h"
#include "storage/format/canonical_json.h"

namespace signum {

namespace {

using nlohmann::json;

constexpr size_t kMaxDepth = 64;
// A value takes up to 60 bytes and its text may be 3; an object or array takes more, and counts
// more.
constexpr size_t kMaxValues = size_t{1} << 22;
constexpr size_t kContainer = 4;

// Builds the value as nlohmann's own builder does, and refuses what it lets pass: names that repeat
// and values that nest deep enough to hurt whoever walks them.
class StrictBuilder final : public json::json_sax_t {
 public:
  json TakeValue() { return std::move(root_); }
  const std::string& why() const { return why_; }

  bool null() override { return Put(nullptr) != nullptr; }
  bool boolean(bool value) override { return Put(value) != nullptr; }
  bool number_integer(number_integer_t value) override { return Put(value) != nullptr; }
  bool number_unsigned(number_unsigned_t value) override { return Put(value) != nullptr; }
  bool number_float(number_float_t value, const string_t&) override {
    return Put(value) != nullptr;
  }
  bool string(string_t& value) override { return Put(std::move(value)) != nullptr; }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return Open(json::object()); }
  bool start_array(size_t) override { return Open(json::array()); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }

  bool key(string_t& name) override {
    if (stack_.back()->contains(name)) {
      why_ = "the name '" + Printable(name) + "' stands twice in one object";
      return false;
    }
    key_ = std::move(name);
    return true;
  }

  bool parse_error(size_t position, const std::string&, const json::exception&) override {
    why_ = "malformed at byte " + std::to_string(position);
    return false;
  }

 private:
  // nullptr where there are too many.
  json* Put(json value) {
    values_ += value.is_structured() ? kContainer : 1;
    if (values_ > kMaxValues) {
      why_ = "more than " + std::to_string(kMaxValues) + " values";
      return nullptr;
    }
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    json& parent = *stack_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    return &(parent[key_] = std::move(value));
  }

  bool Open(json empty) {
    if (stack_.size() == kMaxDepth) {
      why_ = "nested deeper than " + std::to_string(kMaxDepth);
      return false;
    }
    stack_.push_back(Put(std::move(empty)));
    return stack_.back() != nullptr;
  }

  bool Close() {
    stack_.pop_back();
    return true;
  }

  json root_;
  size_t values_ = 0;
  std::vector<json*> stack_;  // open containers; a container does not move while it is open
  std::string key_;
  std::string why_;
};

}  // namespace

Result<json> ParseJson(std::string_view text) {
  StrictBuilder builder;
  // nlohmann skips a byte order mark, RFC 8259 forbids to write one.
  const bool marked = text.starts_with("\xef\xbb\xbf");
  if (marked || !json::sax_parse(text.begin(), text.end(), &builder)) {
    return Fail(Errc::kInvalid, "bad_json",
                "not valid JSON: " + (marked ? "begins with a byte order mark" : builder.why()));
  }
  // Named: json converts to everything, so a plain return would be ambiguous.
  return Result<json>(boost::system::in_place_value, builder.TakeValue());
}

}  // namespace signum
