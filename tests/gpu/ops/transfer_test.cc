#include "gpu/ops/transfer_ops.h"

#include <algorithm>

#include "tests/gpu/ops/cases.h"
#include "tests/gpu/ops/check.h"

// Transfers, where a backend has them: nothing is checked where its memory is the host's.

namespace signum::ops {
namespace {

void CopiesIn(Backend& backend, Report& report) {
  TransferOps* transfers = TransferOpsOf(backend);
  if (transfers == nullptr) return report.True(backend.host_memory(), "no transfers");
  std::mt19937 random(1);
  for (const size_t bytes : {size_t{1}, size_t{256}, (size_t{16} << 20) + 12345}) {
    std::vector<uint8_t> from = RandomBytes(random, bytes);
    const OnDevice<uint8_t> pageable(backend, bytes);
    transfers->CopyIn(pageable.data(), from.data(), bytes);
    report.Equal(pageable.Get(), from, std::to_string(bytes) + " bytes");
    const bool locked = transfers->LockPages(from.data(), bytes);
    const OnDevice<uint8_t> direct(backend, bytes);
    transfers->CopyIn(direct.data(), from.data(), bytes);
    report.Equal(direct.Get(), from, std::to_string(bytes) + " bytes, page-locked");
    if (locked) transfers->UnlockPages(from.data());
  }
}

void RecordsEvents(Backend& backend, Report& report) {
  TransferOps* transfers = TransferOpsOf(backend);
  if (transfers == nullptr) return;
  void* done = transfers->RecordEvent();
  report.True(done != nullptr && transfers->WaitForEvent(done), "an event passes");
  void* after = transfers->EventAfter(done);
  transfers->DestroyEvent(done);
  report.True(after != nullptr && transfers->WaitForEvent(after), "so does one after it");
  report.True(transfers->StreamWaits(nullptr, after), "the default stream waits");
  transfers->DestroyEvent(after);
}

}  // namespace

std::vector<Case> TransferCases() {
  return {Case{"TransferCopiesIn", CopiesIn}, Case{"TransferRecordsEvents", RecordsEvents}};
}

}  // namespace signum::ops
