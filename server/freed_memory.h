#pragma once

namespace signum {

// glibc keeps what was freed for the next allocation of the same arena, and makes eight arenas a
// core: a server whose threads take turns at big buffers holds several times what it uses. These
// bound it; figures in tests/RELIABILITY.md.

// An arena a core, two at least. Call before the first thread is made.
void LimitArenas();
// Gives whole free pages of all arenas back to the system. Milliseconds; call now and then.
void ReturnFreedMemory();

}  // namespace signum
