#include "storage/base/clock.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>

namespace signum {
namespace {

// Takes pieces off the front of a text; after the first one that does not fit, nothing fits.
class TimeReader {
 public:
  explicit TimeReader(std::string_view text) : rest_(text) {}

  // A number of exactly `digits` digits from `low` to `high`.
  int Number(size_t digits, int low, int high) {
    int value = 0;
    const char* end = rest_.data() + std::min(digits, rest_.size());
    const auto [parsed, error] = std::from_chars(rest_.data(), end, value);
    ok_ = ok_ && rest_.size() >= digits && rest_[0] != '-' && error == std::errc() &&
          parsed == end && value >= low && value <= high;
    rest_.remove_prefix(std::min(digits, rest_.size()));
    return ok_ ? value : low;
  }
  bool Take(std::string_view any_of) {
    const bool found = !rest_.empty() && any_of.find(rest_[0]) != std::string_view::npos;
    if (found) rest_.remove_prefix(1);
    return found;
  }
  void Expect(std::string_view any_of) { ok_ = Take(any_of) && ok_; }
  // The digits after a point, as micros.
  int64_t Fraction() {
    const size_t digits = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
    ok_ = ok_ && digits >= 1 && digits <= 9;
    int64_t micros = 0;
    for (size_t i = 0; i < 6; ++i) micros = micros * 10 + (i < digits ? rest_[i] - '0' : 0);
    rest_.remove_prefix(digits);
    return micros;
  }
  // Minutes east of Greenwich: "Z" or "+hh:mm".
  int64_t Offset() {
    if (Take("Zz")) return 0;
    const int sign = !rest_.empty() && rest_[0] == '-' ? -1 : 1;
    Expect("+-");
    const int hours = Number(2, 0, 23);
    Expect(":");
    return sign * (hours * 60 + Number(2, 0, 59));
  }
  bool AtEnd() const { return ok_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace

UnixMicros SystemClock::Now() const {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string FormatTime(UnixMicros time) {
  const UnixMicros micros = ((time % 1'000'000) + 1'000'000) % 1'000'000;  // also before 1970
  const std::time_t seconds = static_cast<std::time_t>((time - micros) / 1'000'000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char date[32];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
  char out[48];
  std::snprintf(out, sizeof out, "%s.%06dZ", date, static_cast<int>(micros));
  return out;
}

std::optional<UnixMicros> ParseTime(std::string_view text) {
  TimeReader reader(text);
  const std::chrono::year year(reader.Number(4, 1970, 9999));
  reader.Expect("-");
  const std::chrono::month month(static_cast<unsigned>(reader.Number(2, 1, 12)));
  reader.Expect("-");
  const std::chrono::day day(static_cast<unsigned>(reader.Number(2, 1, 31)));
  reader.Expect("Tt ");
  const int hour = reader.Number(2, 0, 23);
  reader.Expect(":");
  const int minute = reader.Number(2, 0, 59);
  reader.Expect(":");
  const int second = reader.Number(2, 0, 60);  // 60: a leap second counts as the next
  const int64_t micros = reader.Take(".") ? reader.Fraction() : 0;
  const int64_t offset = reader.Offset();
  const std::chrono::year_month_day date(year, month, day);
  if (!reader.AtEnd() || !date.ok()) return std::nullopt;
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return (((days * 24 + hour) * 60 + minute - offset) * 60 + second) * 1'000'000 + micros;
}

}  // namespace signum
