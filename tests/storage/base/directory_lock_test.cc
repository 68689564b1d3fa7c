#include "storage/base/directory_lock.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/result_matchers.h"
#include "tests/support/temp_dir.h"

namespace signum {
namespace {

TEST(DirectoryLock, IsHeldOnceAndUntilItsFileIsClosed) {
  const TempDir dir;
  {
    const auto held = LockDirectory(dir.path(), "busy", "somebody has it");
    ASSERT_THAT(held, Ok());
    EXPECT_THAT(LockDirectory(dir.path(), "busy", "somebody has it"),
                FailsWith(Errc::kUnavailable, "busy", "somebody has it"));
  }
  EXPECT_THAT(LockDirectory(dir.path(), "busy", "somebody has it"), Ok());
}

TEST(DirectoryLock, EndsWithAProcessThatIsKilled) {
  const TempDir dir;
  int taken[2];
  ASSERT_EQ(::pipe(taken), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto held = LockDirectory(dir.path(), "busy", "somebody has it");
    (void)!::write(taken[1], held ? "y" : "n", 1);
    ::pause();
    ::_exit(0);
  }
  char answer = 0;
  ASSERT_EQ(::read(taken[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  EXPECT_THAT(LockDirectory(dir.path(), "busy", "somebody has it"),
              FailsWith(Errc::kUnavailable, "busy", "somebody has it"));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_THAT(LockDirectory(dir.path(), "busy", "somebody has it"), Ok());
  ::close(taken[0]);
  ::close(taken[1]);
}

TEST(DirectoryLock, NamesADirectoryThatIsNone) {
  EXPECT_THAT(LockDirectory("/nowhere", "busy", "somebody has it"),
              FailsWith(Errc::kNotFound, "no_such_file", "/nowhere/lock"));
}

}  // namespace
}  // namespace signum
