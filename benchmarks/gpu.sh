#!/usr/bin/env bash
# All that is to be measured on a GPU, in a quarter of an hour, from a copy of this tree: bash benchmarks/gpu.sh [SECONDS]
#
# It ends after SECONDS at the latest (900 by default): what is most wanted comes first, and what was not begun is named
# with the command that does it. Logs and tables go into OUT (results/gpu by default) as they come; a part that fails or
# takes too long (LIMIT seconds; by default 150, and more for two) leaves the others alone, and a table with the rows that
# it had. What is missing beside the machine's own torch comes from the kit (`make gpu-kit`). To keep the tables in place of
# those of the same parts, and write the page:
#   python -m benchmarks.page --take OUT/measured
set -uo pipefail
cd "$(dirname "$0")/.."
end=$((SECONDS + ${1:-900}))
out=$(mkdir -p "${OUT:-results/gpu}" && cd "${OUT:-results/gpu}" && pwd)
source tests/gpu/kit.sh
"$python" -c 'import pesq' 2>/dev/null || export PYTHONPATH="$PYTHONPATH:$PWD/tests/gpu/standins"
threads=${CORES:-$(nproc)}
least=20    # Seconds under which a part is not begun: a GPU alone takes some 8 to start.
not_begun=()

part() {  # part NAME COMMAND ...: its output into a log, its seconds into times.csv
  local name=$1 limit=${LIMIT:-$(limit_of "$1")} begin=$SECONDS
  shift
  if ((end - begin < least)); then
    not_begun+=("$name")
    return
  fi
  echo "== $name"
  timeout --kill-after=10 "$((limit < end - begin ? limit : end - begin))" "$@" >"$out/$name.log" 2>&1
  local status=$?
  echo "$name,$((SECONDS - begin)),$status" | tee -a "$out/times.csv"
  [ $status -eq 0 ] || tail -n 5 "$out/$name.log"
}

limit_of() {  # limit_of NAME: the most wanted part has many stages to run, and the last test as many processes to start
  case $1 in
    stages) echo 300 ;;
    test-again) echo 240 ;;
    *) echo 150 ;;
  esac
}

tests() {  # tests NAME: a file of the tests, what they found on the way, and how they ended
  part "test-$1" bash tests/gpu/run.sh --junit-xml="$out/test-$1.xml" --durations=5 -k "test_gpu_$1"
  [ -f "$out/test-$1.log" ] && sed -n '/^=* on /,$p' "$out/test-$1.log"
}

[ -f "$out/times.csv" ] || echo "part,seconds,status" >"$out/times.csv"
part machine "$python" -c '
import os, platform, torch
print(torch.__version__, platform.python_version(), os.cpu_count(), "cores")
print(torch.cuda.get_device_name() if torch.cuda.is_available() else "NO GPU")'
cat "$out/machine.log"
# Whether the numbers are right, then the targets that matter most, and last what takes long and is known from elsewhere.
for name in ${PARTS:-test-model stages forward exits batches training start test-waits test-stages test-again downstream dump grid}; do
  case $name in
    test-*) tests "${name#test-}" ;;
    # What every job on a GPU begins with.
    start) part start "$python" -c 'import torch; torch.zeros(1, device="cuda") @ torch.zeros(1, device="cuda")' ;;
    *)
      part "$name" "$python" -m benchmarks --device cuda --only "$name" --repeat "${REPEAT:-3}" --threads "$threads" \
        --out "$out/measured"
      [ -f "$out/$name.log" ] && grep "^$name: \|NOT MEASURED" "$out/$name.log"
      ;;
  esac
done
((${#not_begun[@]} == 0)) || echo "not begun, for lack of time: PARTS='${not_begun[*]}' bash benchmarks/gpu.sh ${1:-900}"
echo "tables: $out/measured; logs: $out; ${SECONDS} s in all"
