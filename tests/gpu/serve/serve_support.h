#pragma once

#include "gpu/serve/block_pool.h"
#include "gpu/serve/engine.h"
#include "gpu/serve/sampler.h"
#include "tests/gpu/model/model_support.h"

// Engines over the small family, and greedy decoding through them.

namespace signum {

// kEmulated: the CUDA module's sources over the emulator (or a device: cuda/test_device.h), base
// and engine with a context each, as a node has them.
enum class TestDevice { kCpu, kEmulated };
void PrintTo(TestDevice device, std::ostream* out);  // "OnCpu": part of tests' names

// A base with an engine.
struct TestEngine {
  explicit TestEngine(TestCheckpoint checkpoint, TestDevice device = TestDevice::kCpu,
                      const ServeEngineOptions& options = {64, 16, 256});

  // On a device with the delta's file whole in its memory.
  std::shared_ptr<const TenantWeights> Open(const TestDelta& delta) const;

  TestCheckpoint checkpoint;
  std::unique_ptr<ops::Backend> backend;         // what loads
  std::unique_ptr<ops::Backend> engine_backend;  // what computes; null: the same
  std::shared_ptr<const BaseWeights> base;
  std::shared_ptr<const TenantWeights> plain;  // the base as a tenant
  std::unique_ptr<ServeEngine> engine;
  BlockPool pool;
};

// A sequence that is decoded: the logits of every token it was given. Sequences of one tenant and
// `root` share blocks.
struct TestSequence {
  TestSequence(TestEngine& engine, std::shared_ptr<const TenantWeights> tenant,
               std::vector<int32_t> prompt, int64_t capacity, const std::string& root = "");

  // The next `count` tokens that are not computed yet; logits are wanted of all of them.
  SequenceStep Next(int64_t count) const;
  // Appends the most likely next token.
  void TakeGreedy();

  std::shared_ptr<const TenantWeights> weights;
  SequenceBlocks blocks;
  std::vector<int32_t> tokens;
  int64_t computed = 0;
  std::vector<std::vector<float>> logits;  // a row a token
};

// Computes `counts[i]` tokens of sequence i in one step.
void StepAll(TestEngine& engine, const std::vector<TestSequence*>& sequences,
             const std::vector<int64_t>& counts);
// Greedy decoding of one sequence by itself: the `count` tokens after the prompt.
std::vector<int32_t> GreedyAlone(TestEngine& engine,
                                 const std::shared_ptr<const TenantWeights>& tenant,
                                 const std::vector<int32_t>& prompt, int64_t count);

}  // namespace signum
