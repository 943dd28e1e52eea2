#!/bin/sh
# Builds the starter model from nothing: tokenizer, training, GGUF file.  Debian's python3-torch, python3-numpy,
# python3-jinja2 and libopenblas0-pthread do the work (without OpenBLAS it is thirty times slower).
#
#   models/starter/rebuild.sh [MINUTES] [OUT.gguf]      100 minutes of wall-clock time unless told otherwise
set -eu
here=$(cd "$(dirname "$0")" && pwd)
minutes=${1:-100}
out=${2:-$here/confab-starter.gguf}
python=/usr/bin/python3
work=$here/build
cd "$here"
if ! $python -c 'import torch, numpy, jinja2' 2>/dev/null || ! ldconfig -p | grep -q libopenblas; then
    echo "rebuild.sh: please install: apt-get install python3-torch python3-numpy python3-jinja2 libopenblas0-pthread" >&2
    exit 1
fi
mkdir -p "$work"
$python tokenizer.py train "$work/tokenizer.json"
$python train.py "$work/run" --tokenizer "$work/tokenizer.json" --minutes "$minutes"
$python export.py "$work/run/last.pt" --tokenizer "$work/tokenizer.json" -o "$out"
if [ "$out" = "$here/confab-starter.gguf" ]; then cp "$work/tokenizer.json" "$here/tokenizer.json"; fi
echo "evaluate it with: confab serve -m $out &  $python models/starter/evaluate.py --url http://127.0.0.1:8080/v1"
