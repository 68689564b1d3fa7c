#include "gpu/model/generate.h"

#include <cmath>

namespace signum {
namespace {

constexpr int64_t kSequencesAtOnce = 25;

uint64_t Mix(uint64_t z) {
  z += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

class Generator {
 public:
  Generator(const Compute& compute, const LlamaConfig& config, ModelWeights& weights,
            const GenerateOptions& options)
      : compute_(compute),
        backend_(compute.backend),
        config_(config),
        weights_(weights),
        options_(options),
        pieces_(compute, {0, options.rows, 1}, kSequencesAtOnce) {}

  Result<TokenRows> Run(const ModelProgress& progress) {
    SIGNUM_TRY(Allocate());
    TokenRows out;
    out.tokens = options_.tokens;
    out.ids.resize(static_cast<size_t>(options_.rows * options_.tokens));
    std::vector<int32_t> newest(static_cast<size_t>(options_.rows));
    for (size_t r = 0; r < newest.size(); ++r) {
      newest[r] = static_cast<int32_t>(UniformDraw(options_.seed, r, 0) *
                                       static_cast<double>(weights_.vocabulary()));
    }
    for (int64_t t = 0; t < options_.tokens; ++t) {
      SIGNUM_TRY(progress(static_cast<double>(t) / static_cast<double>(options_.tokens)));
      if (t > 0) SIGNUM_TRY(Step(t - 1, newest));
      for (size_t r = 0; r < newest.size(); ++r) {
        out.ids[r * static_cast<size_t>(options_.tokens) + static_cast<size_t>(t)] = newest[r];
      }
    }
    SIGNUM_TRY(CheckBackend(backend_));
    return out;
  }

 private:
  Result<void> Allocate() {
    SIGNUM_ASSIGN(rope_, RopeTable::Create(backend_, config_, options_.tokens));
    SIGNUM_ASSIGN(acts_, LayerActivations::Create(backend_, config_, options_.rows));
    SIGNUM_ASSIGN(x_, MakeBuffer<float>(backend_, options_.rows * config_.hidden));
    SIGNUM_ASSIGN(inverse_, MakeBuffer<float>(backend_, options_.rows));
    SIGNUM_ASSIGN(logits_, MakeBuffer<float>(backend_, options_.rows * weights_.vocabulary()));
    SIGNUM_ASSIGN(uniform_, MakeBuffer<float>(backend_, options_.rows));
    SIGNUM_ASSIGN(sampled_, MakeBuffer<int32_t>(backend_, options_.rows));
    caches_.resize(static_cast<size_t>(config_.layers));
    const int64_t size = options_.rows * options_.tokens * config_.kv_size();
    for (LayerCache& cache : caches_) {
      cache.capacity = options_.tokens;
      SIGNUM_ASSIGN(cache.k, MakeBuffer<float>(backend_, size));
      SIGNUM_ASSIGN(cache.v, MakeBuffer<float>(backend_, size));
    }
    return {};
  }

  // Takes the newest token of each row at `position` and replaces it by the next.
  Result<void> Step(int64_t position, std::vector<int32_t>& newest) {
    SIGNUM_TRY(Embed(weights_, newest, x_.data()));
    for (int64_t l = 0; l < config_.layers; ++l) {
      SIGNUM_ASSIGN(const LayerWeights* layer, weights_.Layer(l));
      const LayerRun run{backend_, config_, rope_, l, *layer};
      SIGNUM_TRY(ParallelFor(compute_, pieces_.count(), [&](size_t, int64_t p) -> Result<void> {
        DecodeLayer(run, pieces_[p], position, acts_, caches_[static_cast<size_t>(l)], x_.data());
        return {};
      }));
    }
    SIGNUM_ASSIGN(const float* head, weights_.Head());
    std::vector<float> uniform(newest.size());
    for (size_t r = 0; r < uniform.size(); ++r) {
      uniform[r] =
          static_cast<float>(UniformDraw(options_.seed, r, static_cast<uint64_t>(position) + 1));
    }
    backend_.Upload(uniform.data(), uniform_.data(), uniform.size() * sizeof(float));
    SIGNUM_TRY(ParallelFor(compute_, pieces_.count(), [&](size_t, int64_t p) -> Result<void> {
      Draw(pieces_[p], head);
      return {};
    }));
    backend_.Download(sampled_.data(), newest.data(), newest.size() * sizeof(int32_t));
    return {};
  }

  void Draw(const Sequences& s, const float* head) {
    float* x = x_.data() + s.first * config_.hidden;
    float* logits = logits_.data() + s.first * weights_.vocabulary();
    backend_.RmsNorm({x, weights_.final_norm(), x, inverse_.data() + s.first, s.count,
                      config_.hidden, config_.norm_eps});
    Logits(backend_, x, head, s.count, weights_.vocabulary(), config_.hidden, logits);
    backend_.Sample({logits, uniform_.data() + s.first, sampled_.data() + s.first, s.count,
                     weights_.vocabulary(), options_.temperature});
  }

  const Compute& compute_;
  ops::Backend& backend_;
  const LlamaConfig& config_;
  ModelWeights& weights_;
  const GenerateOptions& options_;
  const Pieces pieces_;
  RopeTable rope_;
  LayerActivations acts_;
  ops::Buffer<float> x_, inverse_, logits_, uniform_;
  ops::Buffer<int32_t> sampled_;
  std::vector<LayerCache> caches_;
};

}  // namespace

double UniformDraw(uint64_t seed, uint64_t row, uint64_t position) {
  const uint64_t bits = Mix(Mix(Mix(seed) ^ row) ^ position);
  return std::ldexp(static_cast<double>(bits >> 11), -53);
}

Result<TokenRows> Generate(const Compute& compute, const LlamaConfig& config, ModelWeights& weights,
                           const GenerateOptions& options, const ModelProgress& progress) {
  return Generator(compute, config, weights, options).Run(progress);
}

}  // namespace signum
