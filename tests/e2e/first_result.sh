#!/usr/bin/env bash
# The README's own commands, as a new user pastes them, within a minute of the binary being built.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
binary=${TRAMONTANE_BIN:-$root/target/release/tramontane}
place=$(mktemp -d)
server=
finish() {
  local status=$?
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  [ -z "$server" ] || wait "$server" 2>/dev/null || true
  [ $status -eq 0 ] || { echo "--- the server said:"; cat "$place/server.log"; }
  rm -rf "$place"
  return $status
}
trap finish EXIT

# The blocks of the section "Start": the first starts the server, the second is pasted into another terminal.
sed -n '/^## Start/,/^## Test/p' "$root/README.md" | awk -v out="$place/block" '
  /^```sh/ { inside = 1; count++; next }
  /^```/   { inside = 0 }
  inside   { print > (out count ".sh") }'
grep -q 'cargo run --release -- serve' "$place/block1.sh" || { echo "The README starts the server in another way."; exit 1; }

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
sed -i "s/127\.0\.0\.1:8080/127.0.0.1:$port/" "$place/block2.sh"
mkdir -p "$place/target"
ln -s "$(dirname "$binary")" "$place/target/release"
cd "$place"
started=$(date +%s%N)
TRAMONTANE_LISTEN=127.0.0.1:$port target/release/tramontane serve >server.log 2>&1 &
server=$!
for _ in $(seq 1 200); do
  target/release/tramontane doctor --probe "http://127.0.0.1:$port/healthz" >/dev/null 2>&1 && break
  sleep 0.05
done
cat block2.sh block3.sh >both.sh
TRAMONTANE_LISTEN=127.0.0.1:$port bash -eu -o pipefail both.sh >output.txt
took=$((($(date +%s%N) - started) / 1000000))
cat output.txt

grep -q hello.txt output.txt || grep -q '"inbox"' output.txt || { echo "The listing does not show the folder."; exit 1; }
[ "$(cat demo/notes.txt)" = "first notes" ] || { echo "The upload did not arrive."; exit 1; }
grep -q '^first notes' output.txt || grep -q 'first notes' output.txt || { echo "The download did not print."; exit 1; }
[ "$(cat demo2/notes.txt)" = "first notes" ] || { echo "The copy did not arrive."; exit 1; }
grep -q '^event: storage.file.added' output.txt || { echo "The dropped file's event did not appear."; exit 1; }
grep -q '^event: storage.folder.renamed' output.txt || { echo "The renamed folder's event did not appear."; exit 1; }
if grep -q '"error_code"' output.txt; then echo "A command was refused."; exit 1; fi
grep -q tmk_ server.log || { echo "The first start did not print an API key."; exit 1; }
if [ "$(grep -c "$(grep -o 'tmk_[A-Za-z0-9_-]*' server.log | head -n 1)" server.log)" -lt 1 ]; then exit 1; fi
[ $took -lt 60000 ] || { echo "It took $took ms, more than a minute."; exit 1; }
echo "note: the first result came $took ms after the server was started"
