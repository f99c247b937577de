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
DATA_built = rehouse--$(EXTVERSION).sql
EXTRA_CLEAN = rehouse--$(EXTVERSION).sql

PG_CONFIG ?= /usr/lib/postgresql/15/bin/pg_config
PG_CPPFLAGS = -I$(CURDIR) -I$(shell $(PG_CONFIG) --includedir) -DURCU_INLINE_SMALL_FUNCTIONS
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

endif
