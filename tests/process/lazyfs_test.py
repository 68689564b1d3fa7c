"""Power cuts as others make them: kill -9 on a LazyFS, which then forgets every byte that was not synced.

Skipped unless SIGNUM_LAZYFS names the built program (github.com/dsrhaslab/lazyfs; Debian's libfuse3-dev, libtoml11-dev and
libspdlog-dev build it). SIGNUM_KILLS and SIGNUM_SEED as in kill9_test.py, whose publisher and oracle this is.
"""

import os
import random
import subprocess

import pytest

from kill9_test import KILLS, MOST_OF_A_RUN, SEED, Server, disturb, undisturbed
from programs import wait_until

LAZYFS = os.environ.get("SIGNUM_LAZYFS")
pytestmark = [pytest.mark.skipif(not LAZYFS or not os.path.exists("/dev/fuse"), reason="SIGNUM_LAZYFS is not set, or there is no FUSE"),
              pytest.mark.timeout(120 + 60 * KILLS)]

CONFIG = """[faults]
fifo_path="{folder}/faults"
fifo_path_completed="{folder}/completed"
[cache]
apply_eviction=false
[cache.simple]
custom_size="1gb"
blocks_per_page=1
[filesystem]
log_all_operations=false
logfile="{folder}/lazyfs.log"
"""


class LazyFs:
    """A mount at `folder/mount` whose unsynced bytes can be lost."""

    def __init__(self, folder):
        self.folder, self.mount, below = folder, folder / "mount", folder / "below"
        for path in (self.mount, below):
            path.mkdir(parents=True)
        # A path with "-o" in it, as pytest's own have, is not taken for the configuration's: a relative one.
        (folder / "lazyfs.toml").write_text(CONFIG.format(folder=folder))
        command = [LAZYFS, self.mount, "--config-path", "lazyfs.toml", "-o", "allow_other", "-o", "modules=subdir", "-o", f"subdir={below}", "-f",
                   "-s"]  # one thread: with several, what it reads back is not always what was written, without any fault
        with open(folder / "lazyfs.out", "wb") as log:
            self.process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=subprocess.STDOUT, cwd=folder)
        wait_until(lambda: os.path.ismount(self.mount) or self.process.poll() is not None, "the mount")
        assert self.process.poll() is None, (folder / "lazyfs.out").read_text()[-1000:]
        self.completed = open(folder / "completed")  # it waits for a reader

    def lose_unsynced(self):
        with open(self.folder / "faults", "w") as faults:
            faults.write("lazyfs::clear-cache\n")
        assert "clear-cache" in self.completed.readline()

    def unmount(self):
        subprocess.run(["fusermount3", "-u", "-z", str(self.mount)], check=False)
        self.process.kill()  # it does not always end by itself
        self.process.wait()
        self.completed.close()


class LazyServer(Server):
    def __init__(self, folder):
        self.lazyfs = LazyFs(folder / "lazy")
        super().__init__(folder, self.lazyfs.mount / "data")

    def kill_and_restart(self):
        self.program.kill()
        self.lazyfs.lose_unsynced()
        self.start(f"127.0.0.1:{self.program.port}")


def test_it_forgets_what_was_not_synced(tmp_path):
    """That the tool does what the test below takes it to do."""
    lazyfs = LazyFs(tmp_path)
    try:
        synced, unsynced = lazyfs.mount / "synced", lazyfs.mount / "unsynced"
        for path in (synced, unsynced):
            with open(path, "wb") as file:
                file.write(b"x" * 5000)
                file.flush()
                if path == synced:
                    os.fsync(file.fileno())
        lazyfs.lose_unsynced()
        assert synced.read_bytes() == b"x" * 5000
        assert unsynced.read_bytes() != b"x" * 5000
    finally:
        lazyfs.unmount()


def test_nothing_acknowledged_is_lost_with_the_power(tmp_path):
    print(f"SIGNUM_SEED={SEED} SIGNUM_KILLS={KILLS}")
    chance = random.Random(SEED)
    took, *expected = undisturbed(tmp_path / "undisturbed")
    kills, rounds = 0, 0
    while kills < KILLS:
        rounds += 1
        server = LazyServer(tmp_path / f"run{rounds}")
        try:
            kills += disturb(server, chance, took * 3, expected, min(KILLS - kills, MOST_OF_A_RUN))
        finally:
            if server.program.running():
                server.program.kill()
            server.lazyfs.unmount()
    print(f"{kills} power cuts in {rounds} runs")
