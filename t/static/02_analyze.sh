#!/usr/bin/env bash
# timeout: 900
# clang's static analyser over the C sources (clang comes with the server's development files).
cd "$(dirname "$0")/../.."
clang=$(command -v clang || ls /usr/bin/clang-[0-9]* 2>/dev/null | grep -E 'clang-[0-9]+$' | head -1)
if [ -z "$clang" ]; then
	echo "1..0 # SKIP clang is not installed"
	exit 0
fi
pg_config=${PG_CONFIG:-/usr/lib/postgresql/15/bin/pg_config}
files=(src/*.c shmem/*.c bgw/*.c)
echo "1..${#files[@]}"
printf '%s\n' "${files[@]}" | xargs -P 2 -I{} sh -c '
	out=$("$0" --analyze --analyzer-output text -Xclang -analyzer-disable-checker=deadcode.DeadStores \
		-I. -I"$('"$pg_config"' --includedir)" -isystem "$('"$pg_config"' --includedir-server)" \
		-DURCU_INLINE_SMALL_FUNCTIONS -DREHOUSE_DEBUG_POINTS -DUSE_ASSERT_CHECKING -D_GNU_SOURCE "{}" 2>&1)
	if [ -z "$out" ]; then echo "ok - {}"; else
		printf "not ok - {}\n%s\n" "$(printf "%s" "$out" | sed "s/^/# /")"; fi' "$clang"
