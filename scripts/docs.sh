#!/usr/bin/env bash
# Builds the book of docs/ into target/book. Pages and files outside of docs/ that it links to are laid beside it, so that links work there as they do in the repository.
set -euo pipefail
cd "$(dirname "$0")/.."

source=target/book-source
rm -rf "$source" target/book
mkdir -p "$source"
for part in docs config docker packaging README.md ARCHITECTURE.md CHANGELOG.md CONTRIBUTING.md benches/README.md; do
    [[ ! -e $part ]] || cp --parents -r "$part" "$source"
done
mv "$source/docs/book.toml" "$source/book.toml"
# One folder further up, everything is one folder further down.
sed -i 's|^build-dir = .*|build-dir = "../book"|' "$source/book.toml"
sed 's|](|](docs/|' docs/SUMMARY.md >"$source/SUMMARY.md"
rm "$source/docs/SUMMARY.md"
cat >>"$source/SUMMARY.md" <<'EOF'
- [Why: the README](README.md)
- [Architecture](ARCHITECTURE.md)
- [Benchmarks](benches/README.md)
- [Contributing](CONTRIBUTING.md)
- [Changelog](CHANGELOG.md)
EOF
mdbook build "$source"
# What mdBook puts there is the first page with links as if it were in docs/.
echo '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=docs/introduction.html"><title>cutover</title>' >target/book/index.html
echo "the book is target/book/index.html"
