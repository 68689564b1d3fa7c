// An exported audit log: whatever it holds, a chain is checked or refused.

#include "storage/format/log_chain.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace signum;
  const auto entries = ParseLogExport(FuzzText(data, size));
  if (!entries) return 0;
  LogChain chain = LogChain::Part();
  for (const LogEntry& entry : *entries) {
    if (chain.Add(entry).has_error()) break;
    Require(chain.hash() == entry.Hash());
  }
  return 0;
}
