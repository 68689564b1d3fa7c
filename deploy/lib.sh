# shellcheck shell=bash
# Shared by the scripts of deploy/: source it. Sets `root` (the top of the tree) and goes there.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

say() { printf '\n== %s\n' "$*"; }
note() { printf '   %s\n' "$*"; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# Compilers at once: one a core, but no more than one per 1.5 GB of memory.
build_jobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/MemAvailable/ {print int($2 / 1500000)}' /proc/meminfo)
  echo $((memory < 1 ? 1 : memory < cores ? memory : cores))
}

# build PRESET [TARGET...]: configures and builds build/PRESET.
build() {
  local preset=$1
  shift
  cmake --preset "$preset" -DSIGNUM_VENV="$root/build/venv"
  nice -n 5 ninja -C "build/$preset" -j "$(build_jobs)" "$@"
}
