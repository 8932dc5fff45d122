# What tests and benchmarks on a GPU machine need beside its own torch, taken from the kit: sourced by both, from the
# project's folder. It sets `python`, and PYTHONPATH.
kit=.cache/gpu
python=${PYTHON:-python3}

# As they are imported, and as they are installed. pesq may be missing: a stand-in takes its place.
needed="numpy:numpy yaml:pyyaml safetensors:safetensors soundfile:soundfile jsonschema:jsonschema scipy:scipy
  sklearn:scikit-learn threadpoolctl:threadpoolctl pystoi:pystoi torchaudio:torchaudio pytest:pytest"

"$python" -c 'import torch' || { echo "error: $python has no torch" >&2; exit 1; }
export PYTHONPATH="$PWD/$kit/site${PYTHONPATH:+:$PYTHONPATH}"
mapfile -t missing < <("$python" -c '
import importlib.util, sys
for pair in sys.argv[1].split():
    module, package = pair.split(":")
    if importlib.util.find_spec(module) is None:
        print(package)' "$needed")
if ((${#missing[@]})); then
  echo "from the kit: ${missing[*]}"
  [ -d "$kit/wheels" ] || { echo "error: no $kit/wheels; fill it by \`make gpu-kit\` where there is a network" >&2; exit 1; }
  # One by one and without what they need, so that nothing of the machine's own comes twice.
  for name in "${missing[@]}"; do
    rest=
    case $name in
      soundfile) rest="cffi pycparser" ;;
      jsonschema) rest="attrs referencing rpds-py jsonschema-specifications typing-extensions" ;;
      pytest) rest="iniconfig pluggy packaging pygments" ;;
      scikit-learn) rest="joblib" ;;
    esac
    "$python" -m pip install --quiet --no-index --find-links "$kit/wheels" --no-deps --upgrade --target "$kit/site" \
      "$name" $rest
  done
fi
