# rehouse: build, install, test and bench.  The version stands once, in rehouse.control.
#
#   make                    the library and the install script
#   make DEBUG_POINTS=1     the same with the named debug points that the crash tests drive
#   make install            into the server that PG_CONFIG names (DESTDIR is honoured)
#   make check, make bench  scripts/check, scripts/bench: they start servers of their own

ifneq (,$(filter check bench,$(MAKECMDGOALS)))
check bench:
	@scripts/$@
.PHONY: check bench
else

EXTENSION = rehouse
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" rehouse.control)

MODULE_big = rehouse
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard shmem/*.c src/*.c bgw/*.c)))
UPGRADE = rehouse--1.0--1.1.sql
DATA_built = rehouse--$(EXTVERSION).sql $(UPGRADE)
DATA = $(wildcard sql/upgrade/*.sql)
EXTRA_CLEAN = $(DATA_built)

PG_CONFIG ?= /usr/lib/postgresql/15/bin/pg_config
PG_CPPFLAGS = -I$(CURDIR) -I$(shell $(PG_CONFIG) --includedir) -DURCU_INLINE_SMALL_FUNCTIONS \
	-DRH_EXTENSION_VERSION='"$(EXTVERSION)"'
PG_CFLAGS = -Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers
ifdef DEBUG_POINTS
PG_CPPFLAGS += -DREHOUSE_DEBUG_POINTS
endif
SHLIB_LINK = -lpq -lssl

# Bitcode for the server's JIT would double the build for functions that are never inlined.
override with_llvm = no

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# The server's own headers do not pass -Wextra: they are system headers to us.
override CPPFLAGS := $(subst -I$(shell $(PG_CONFIG) --includedir-server),-isystem $(shell $(PG_CONFIG) --includedir-server),$(CPPFLAGS))

$(OBJS): $(wildcard shmem/*.h src/*.h bgw/*.h)

rehouse--$(EXTVERSION).sql: $(sort $(wildcard sql/install/*.sql))
	cat $^ > $@

# An upgrade is what changes in the catalog, the pieces of the install script that are new,
# and again those that have functions and views alone, which replace what there was.  With
# the next version it is frozen, as sql/upgrade/rehouse--1.0.sql is.
new_pieces = 12-objects 32-alter-distributed 32-reference 34-functions 57-concurrently 62-split 82-activity 85-statistics 87-analyze 90-documented 92-time-partitions 94-advice 95-comments
replaced_pieces = 80-looking
piece_files = $(patsubst %,sql/install/%.sql,$(1))

$(UPGRADE): $(wildcard sql/upgrade/1.0--1.1/*.sql) $(sort $(wildcard sql/install/*.sql))
	(cat sql/upgrade/1.0--1.1/before.sql $(call piece_files,$(new_pieces)); \
	 sed -e 's/^CREATE FUNCTION/CREATE OR REPLACE FUNCTION/' \
	     -e 's/^CREATE VIEW rehouse\.\(citus_\|pg_dist_\)/CREATE OR REPLACE VIEW pg_catalog.\1/' \
	     -e 's/^CREATE VIEW/CREATE OR REPLACE VIEW/' -e '/^ALTER VIEW .* SET SCHEMA pg_catalog;$$/d' \
	     $(call piece_files,$(replaced_pieces)); \
	 cat sql/upgrade/1.0--1.1/after.sql) > $@

endif
