#include "storage/format/canonical_json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "storage/format/json_text.h"

namespace signum {

namespace {

using nlohmann::json;

// ECMAScript's Number::toString for a finite number that is not zero, from its shortest digits that
// read back as the same value: value = 0.DIGITS * 10^point.
std::string LayOutNumber(const std::string& digits, int point) {
  const int count = static_cast<int>(digits.size());
  if (point > 0 && point <= 21) {
    if (count <= point) return digits + std::string(static_cast<size_t>(point - count), '0');
    return digits.substr(0, static_cast<size_t>(point)) + "." +
           digits.substr(static_cast<size_t>(point));
  }
  if (point > -6 && point <= 0) {
    return "0." + std::string(static_cast<size_t>(-point), '0') + digits;
  }
  const int exponent = point - 1;
  std::string out = digits.substr(0, 1);
  if (count > 1) out += "." + digits.substr(1);
  return out + (exponent < 0 ? "e-" : "e+") + std::to_string(std::abs(exponent));
}

std::string NumberText(double value) {
  if (!std::isfinite(value)) return "null";  // as JSON.stringify; parsing never yields one
  if (value == 0) return "0";                // -0 too
  char buffer[40];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, std::abs(value), std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<size_t>(end.ptr - buffer));
  const size_t e = text.find('e');
  std::string digits;
  for (char c : text.substr(0, e)) {
    if (c != '.') digits.push_back(c);
  }
  const size_t skip = text[e + 1] == '+' ? 2 : 1;  // from_chars reads '-' but not '+'
  int exponent = 0;
  std::from_chars(text.data() + e + skip, text.data() + text.size(), exponent);
  return (value < 0 ? "-" : "") + LayOutNumber(digits, exponent + 1);
}

void Append(std::string* out, const json& value);

void AppendArray(std::string* out, const json& array) {
  out->push_back('[');
  bool first = true;
  for (const json& element : array) {
    if (!std::exchange(first, false)) out->push_back(',');
    Append(out, element);
  }
  out->push_back(']');
}

// RFC 8785 sorts names by UTF-16 code units. In UTF-8 that is the order of bytes but for characters
// past U+FFFF (lead bytes F0 and up), whose surrogates come before U+E000 to U+FFFF (EE and EF).
int SortKey(char c) {
  const int byte = static_cast<unsigned char>(c);
  if (byte >= 0xf0) return byte - 2;
  return byte >= 0xee ? byte + 0x20 : byte;
}

bool NameBefore(std::string_view a, std::string_view b) {
  const auto [at, bt] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  if (bt == b.end()) return false;
  return at == a.end() || SortKey(*at) < SortKey(*bt);
}

void AppendObject(std::string* out, const json& object) {
  std::vector<json::const_iterator> members;
  for (auto it = object.begin(); it != object.end(); ++it) members.push_back(it);
  std::sort(members.begin(), members.end(),
            [](const auto& a, const auto& b) { return NameBefore(a.key(), b.key()); });
  out->push_back('{');
  bool first = true;
  for (const auto& member : members) {
    if (!std::exchange(first, false)) out->push_back(',');
    AppendJsonString(out, member.key());
    out->push_back(':');
    Append(out, member.value());
  }
  out->push_back('}');
}

void Append(std::string* out, const json& value) {
  switch (value.type()) {
    case json::value_t::object:
      return AppendObject(out, value);
    case json::value_t::array:
      return AppendArray(out, value);
    case json::value_t::string:
      return AppendJsonString(out, value.get_ref<const std::string&>());
    case json::value_t::boolean:
      out->append(value.get<bool>() ? "true" : "false");
      return;
    case json::value_t::number_integer:
    case json::value_t::number_unsigned:
    case json::value_t::number_float:
      out->append(NumberText(value.get<double>()));
      return;
    default:
      out->append("null");
  }
}

}  // namespace

void AppendJsonString(std::string* out, std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  static constexpr std::string_view kShort = "\b\t\n\f\r\"\\";
  static constexpr std::string_view kLetters = "btnfr\"\\";
  out->push_back('"');
  for (char c : text) {
    if (const size_t at = kShort.find(c); at != std::string_view::npos) {
      out->push_back('\\');
      out->push_back(kLetters[at]);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out->append("\\u00");
      out->push_back(kDigits[c >> 4]);
      out->push_back(kDigits[c & 15]);
    } else {
      out->push_back(c);
    }
  }
  out->push_back('"');
}

std::string CanonicalJson(const json& value) {
  std::string out;
  Append(&out, value);
  return out;
}

}  // namespace signum
