#include "storage/format/plane_choice.h"

#include <algorithm>
#include <cmath>

namespace signum {

namespace {

constexpr std::array<size_t, 4> kShifts = {0, 1, 2, 4};
constexpr size_t kRun = 64, kRuns = 64;  // neighbours, so that repetitions show
constexpr size_t kSample = kRun * kRuns;
constexpr double kNoise = 0.97 * 8;     // bits a byte above which coding is not worth its time
constexpr double kAboutEqual = 1.01;    // of such costs the one that decodes faster is taken
constexpr double kRepetitions = 1.3;    // times the equal neighbours of a shuffled plane
constexpr double kMatchOverhead = 2.0;  // times its entropy is what a sparse plane's matches take

// n · log2(n), of which entropies of counts are made.
const std::array<double, kSample + 1>& NLogN() {
  static const auto table = [] {
    std::array<double, kSample + 1> values{};
    for (size_t n = 2; n <= kSample; ++n) {
      values[n] = static_cast<double>(n) * std::log2(static_cast<double>(n));
    }
    return values;
  }();
  return table;
}

// Some of a block's z, run after run: plane p of run r begins at (r · width + p) · kRun.
struct Sample {
  Sample(const NumberLayout& layout, const std::byte* fine, const std::byte* base, size_t count)
      : width(layout.width), runs(std::clamp<size_t>(count / kRun, 1, kRuns)) {
    run = std::min(kRun, count);
    for (size_t r = 0; r < runs; ++r) {
      const size_t at = (count - run) / runs * r * width;
      SplitDifference(layout, 0, fine + at, base + at, run, &planes[r * width * run], nullptr);
    }
  }

  size_t width, runs, run = 0;
  std::array<std::byte, kSample * kMostPlanes> planes;
};

struct Guess {
  double bits = 0;  // a number
  PlaneCoding coding = PlaneCoding::kMatches;
};

// Of plane `p` of z >> shift.
Guess GuessPlane(const Sample& sample, size_t shift, size_t p) {
  std::array<uint16_t, 256> counts{};
  size_t equal = 0;
  for (size_t r = 0; r < sample.runs; ++r) {
    const std::byte* const low = &sample.planes[(r * sample.width + p) * sample.run];
    const std::byte* const high = low + sample.run;
    uint32_t before = 256;
    for (size_t i = 0; i < sample.run; ++i) {
      const uint32_t above = p + 1 < sample.width ? static_cast<uint32_t>(high[i]) : 0;
      const uint32_t byte = (static_cast<uint32_t>(low[i]) | above << 8) >> shift & 0xff;
      ++counts[byte];
      equal += byte == before ? 1 : 0;
      before = byte;
    }
  }
  const auto total = static_cast<double>(sample.runs * sample.run);
  double sum = 0, squares = 0, most = 0;
  for (const uint16_t count : counts) {
    sum += NLogN()[count];
    squares += static_cast<double>(count) * count / (total * total);
    most = std::max(most, count / total);
  }
  const double entropy = std::log2(total) - sum / total;
  if (entropy > kNoise) return {8, PlaneCoding::kRaw};
  // A Huffman code spends a bit at least, on the byte that most others are.
  const double literals = entropy + (most > 0.5 ? most * (1 + std::log2(most)) : 0);
  const double pairs = total - static_cast<double>(sample.runs);
  const bool repeats = static_cast<double>(equal) > kRepetitions * squares * pairs;
  if (repeats && most < 0.9) return {entropy, PlaneCoding::kMatches};
  const double matches = kMatchOverhead * entropy;
  return matches < literals ? Guess{matches, PlaneCoding::kMatches}
                            : Guess{literals, PlaneCoding::kLiterals};
}

}  // namespace

PlaneChoice ChoosePlanes(const NumberLayout& layout, const std::byte* fine, const std::byte* base,
                         size_t count) {
  const Sample sample(layout, fine, base, count);
  std::array<PlaneChoice, kShifts.size()> choices;
  std::array<double, kShifts.size()> costs;
  for (size_t s = 0; s < kShifts.size(); ++s) {
    choices[s].shift = kShifts[s];
    costs[s] = static_cast<double>(kShifts[s]);
    for (size_t p = 0; p < layout.width; ++p) {
      const Guess guess = GuessPlane(sample, kShifts[s], p);
      costs[s] += guess.bits;
      choices[s].coding[p] = guess.coding;
    }
  }
  if (costs[0] >= 8.0 * layout.width) return choices[0];
  // Low bits that are noise cost a coder time and save nothing, and what is above them may then fit
  // one byte less: of about equal costs the longest shift, which decodes fastest.
  const double most = *std::min_element(costs.begin(), costs.end()) * kAboutEqual;
  size_t best = 0;
  while (costs[best] > most) ++best;
  return choices[best];
}

}  // namespace signum
