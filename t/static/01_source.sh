#!/usr/bin/env bash
# Rules that the sources keep: the version stands once, files stay small, nothing is left for later.
cd "$(dirname "$0")/../.."
n=0 bad=0
check() {	# check NAME LINES: passes when there are no lines
	n=$((n + 1))
	if [ -z "$2" ]; then echo "ok $n - $1"; else
		bad=1
		echo "not ok $n - $1"
		sed 's/^/# /' <<<"$2"
	fi
}

version=$(sed -n "s/^default_version *= *'\(.*\)'/\1/p" rehouse.control)
check "META.json has the control file's version" \
	"$(grep -n '"version"' META.json | grep -v "\"$version\.0\"" | grep -v meta-spec || true)"
check "the changelog begins with it" \
	"$(grep -m1 '^## ' CHANGELOG.md | grep -v "^## $version\b" || true)"
check "it stands in no C or SQL source" \
	"$(grep -rnE "rehouse-+$version|'$version'" src shmem bgw sql/install 2>/dev/null || true)"
check "no source file has more than 1,000 lines" \
	"$(wc -l src/*.[ch] shmem/*.[ch] bgw/*.[ch] 2>/dev/null | awk '$2 != "total" && $1 > 1000')"
check "nothing is left for later" \
	"$(grep -rnE 'TODO|FIXME|XXX:|for now|HACK' src shmem bgw sql/install scripts bench t --include=* 2>/dev/null | grep -v '^t/static/' || true)"
check "no blocking libpq call in the server" \
	"$(grep -rnE '\b(PQexec|PQexecParams|PQexecPrepared|PQprepare|PQconnectdb|PQconnectdbParams|PQsetdbLogin|PQputCopyEnd_blocking)\(' src shmem bgw 2>/dev/null | grep -vE ':\s*\*|/\*' || true)"
check "no sleep in the server" \
	"$(grep -rnE '\b(sleep|usleep|pg_usleep)\(' src shmem bgw 2>/dev/null | grep -vE ':\s*\*|/\*' || true)"
check "tabs, not spaces, indent C" \
	"$(grep -nE '^    ' src/*.c shmem/*.c bgw/*.c 2>/dev/null | head -5 || true)"
check "every SQL function that the library offers has a comment" \
	"$(for f in sql/install/*.sql; do
		grep -oiE "CREATE (OR REPLACE )?FUNCTION [a-z_.]+" "$f" | awk '{print $NF}' | sort -u | while read -r name; do
			grep -qiE "COMMENT ON FUNCTION ${name//./\\.}" sql/install/*.sql || echo "$f: $name"
		done
	done)"
check "links between the documents lead somewhere" \
	"$(for f in README.md docs/*.md t/README.md shmem/README.md bgw/README.md; do
		grep -oE '\]\([^)#:]+\)' "$f" | sed 's/^](//; s/)$//' | while read -r target; do
			[ -e "$(dirname "$f")/$target" ] || echo "$f: $target"
		done
	done)"
check "docs/internals.md says of each file of src/ where it belongs" \
	"$(patterns=$(sed -n '/^## Where things are/,/^## The life/p' docs/internals.md | grep -oE '`[a-z_*]+\.c`' | tr -d '`')
	for f in src/*.c; do
		for pattern in $patterns; do case ${f#src/} in $pattern) continue 2 ;; esac; done
		echo "$f"
	done)"
echo "1..$n"
exit "$bad"
