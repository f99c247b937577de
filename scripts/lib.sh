# What scripts/check and scripts/demo share; sourced by bash.
#
# A run has a directory of its own below TMPDIR.  In it: inst/ (what "make
# install DESTDIR=" made), tree/ (the tests and scripts, readable by whoever runs
# the servers), and the data directories.  It goes away when the script ends,
# and before it every server that was started in it.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pgbin=/usr/lib/postgresql/15/bin
work=

die() { echo "$(basename "$0"): $*" >&2; exit 1; }

# The user who runs the servers, since PostgreSQL refuses root; empty: ourselves.
run_user=

# as_user COMMAND..: become a command that runs unprivileged, in the work directory.
# It replaces the shell: call it in a subshell.
as_user() {
	cd "$work"
	if [ -n "$run_user" ]; then
		exec setpriv --reuid="$run_user" --regid="$(id -g "$run_user")" --clear-groups \
			env HOME="$work" USER="$run_user" LOGNAME="$run_user" "$@"
	fi
	exec "$@"
}

# Stop every server whose data directory lies in the work directory.
stop_servers() {
	local pidfile pid datadir
	for pidfile in "$work"/*/postmaster.pid "$work"/*/*/postmaster.pid; do
		[ -f "$pidfile" ] || continue
		pid=$(head -n 1 "$pidfile" 2>/dev/null) || continue
		datadir=$(readlink "/proc/$pid/cwd" 2>/dev/null) || continue
		[ "$datadir" = "$(dirname "$pidfile")" ] && kill -QUIT "$pid" 2>/dev/null
	done
	return 0
}

# End the run: called by the trap, whatever happened.
end_run() {
	local status=$?
	set +e
	trap - EXIT INT TERM HUP
	if [ -n "$work" ]; then
		if [ -n "${runner_pid:-}" ]; then
			kill -TERM "$runner_pid" 2>/dev/null || true
			wait "$runner_pid" || true
		fi
		stop_servers
		cd /
		for _ in 1 2 3 4 5 6 7 8 9 10; do
			rm -rf "$work" 2>/dev/null && break
			sleep 0.2
		done
	fi
	exit "$status"
}

# Make the work directory and arrange for its end.
begin_run() {
	if [ "$(id -u)" -eq 0 ]; then
		if id postgres >/dev/null 2>&1; then run_user=postgres; else run_user=nobody; fi
	fi
	work=$(mktemp -d "${TMPDIR:-/tmp}/rehouse.XXXXXX")
	chmod 755 "$work"
	trap end_run EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	[ -z "$run_user" ] || chown "$run_user" "$work"
}

# build NAME MAKE-ARGS..: build a copy of the tree below tmp_check/build-NAME
# (kept, so that the next build is quick), with the compiler's complaints as errors.
build() {
	local name=$1 copy log
	shift
	copy=$top/tmp_check/build-$name
	mkdir -p "$copy"
	log=$copy/build.log
	(
		cd "$top"
		# sources that have gone must go from the copy too
		(cd "$copy" && find . -type f \( -name '*.[ch]' -o -name '*.sql' \)) | while read -r file; do
			[ -e "$top/$file" ] || case $file in ./rehouse--*.sql) ;; *)
				rm -f "$copy/$file" "$copy/${file%.c}.o" ;;
			esac
		done
		tar -c Makefile rehouse.control META.json src shmem $( [ -d bgw ] && echo bgw ) sql/install sql/upgrade t/unit 2>/dev/null |
			tar -x -C "$copy" --exclude='*.o' --exclude='*.so'
		rm -f "$copy"/rehouse--*.sql
		make -C "$copy" -s -j"$(nproc)" "$@"
	) >"$log" 2>&1 || { cat "$log"; die "the $name build failed"; }
}

# install_build NAME DIR MAKE-ARGS..: install a build below DIR
install_build() {
	local name=$1 dest=$2
	shift 2
	make -C "$top/tmp_check/build-$name" -s install DESTDIR="$dest" "$@" \
		>"$top/tmp_check/build-$name/install.log" 2>&1 ||
		{ cat "$top/tmp_check/build-$name/install.log"; die "installing the $name build failed"; }
	chmod -R a+rX "$dest"
}

# copy_tree DIR: what the unprivileged part needs to read
copy_tree() {
	mkdir -p "$1"
	(cd "$top" && tar -c --exclude=tmp_check --exclude=.git --exclude='*.o' --exclude='*.so' .) | tar -x -C "$1"
	chmod -R a+rX "$1"
	[ -z "$run_user" ] || chown -R "$run_user" "$1"
}

# build_units: the programs of t/unit, in the debug copy
build_units() {
	local copy=$top/tmp_check/build-debug
	make -C "$copy/t/unit" -s -j"$(nproc)" >"$copy/unit.log" 2>&1 ||
		{ cat "$copy/unit.log"; die "building the unit programs failed"; }
}
