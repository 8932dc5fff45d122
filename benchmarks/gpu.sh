#!/usr/bin/env bash
# All that is to be measured on a GPU, in a quarter of an hour, from a copy of this tree: bash benchmarks/gpu.sh
#
# Logs and tables go into OUT (results/gpu by default); a part that fails or takes too long leaves the others alone. What
# is missing beside the machine's own torch comes from the kit (`make gpu-kit`). To keep the tables, and write the page:
#   cp OUT/measured/*.csv benchmarks/measured/gpu/ && python -m benchmarks.page
set -uo pipefail
cd "$(dirname "$0")/.."
out=$(mkdir -p "${OUT:-results/gpu}" && cd "${OUT:-results/gpu}" && pwd)
source tests/gpu/kit.sh
"$python" -c 'import pesq' 2>/dev/null || export PYTHONPATH="$PYTHONPATH:$PWD/tests/gpu/standins"
threads=${CORES:-$(nproc)}

part() {  # part NAME SECONDS COMMAND ...: its output into a log, its seconds into times.csv
  local name=$1 limit=$2 begin=$SECONDS
  shift 2
  echo "== $name"
  timeout --kill-after=10 "$limit" "$@" >"$out/$name.log" 2>&1
  local status=$?
  echo "$name,$((SECONDS - begin)),$status" | tee -a "$out/times.csv"
  [ $status -eq 0 ] || tail -n 5 "$out/$name.log"
}

echo "part,seconds,status" >"$out/times.csv"
part machine 60 "$python" -c '
import os, platform, torch
print(torch.__version__, platform.python_version(), os.cpu_count(), "cores")
print(torch.cuda.get_device_name() if torch.cuda.is_available() else "NO GPU")'
cat "$out/machine.log"
# What every job on a GPU begins with.
part start 60 "$python" -c 'import torch; torch.zeros(1, device="cuda") @ torch.zeros(1, device="cuda")'
part test-gpu 360 bash tests/gpu/run.sh --junit-xml="$out/test-gpu.xml" --durations=15
tail -n 40 "$out/test-gpu.log"
# The most wanted first, so that a time that is short costs the least wanted.
for name in ${PARTS:-stages training forward exits batches downstream dump grid}; do
  part "bench-$name" "${LIMIT:-150}" "$python" -m benchmarks --device cuda --only "$name" --repeat "${REPEAT:-3}" \
    --threads "$threads" --out "$out/measured"
  grep "^$name: \|NOT MEASURED" "$out/bench-$name.log"
done
echo "tables: $out/measured; logs: $out; ${SECONDS} s in all"
