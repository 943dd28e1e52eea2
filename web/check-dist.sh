#!/bin/sh
# Rebuilds the page into a temporary folder and compares it with the committed dist/index.html.
# Needs node_modules (npm ci). Exit 0 when they are the same bytes.
set -eu
cd "$(dirname "$0")"

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
npm run --silent build -- --logLevel warn --outDir "$out" --emptyOutDir

for f in "$out"/* dist/*; do
    name=$(basename "$f")
    if ! cmp -s "$out/$name" "dist/$name"; then
        echo "web/dist/$name does not match its sources: run 'npm ci && npm run build' in web/ and commit" \
             "the result" >&2
        exit 1
    fi
done
echo "web/dist is current"
