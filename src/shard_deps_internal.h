/*-------------------------------------------------------------------------
 *
 * shard_deps_internal.h
 *	  The walk through what a table needs on a node: what shard_deps.c and
 *	  shard_deps_types.c share.
 *
 * Raises, unless it is a trial: 0A000 for what a node cannot have.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_SHARD_DEPS_INTERNAL_H
#define RH_SHARD_DEPS_INTERNAL_H

#include "catalog/dependency.h"
#include "nodes/pg_list.h"
#include "src/object_image.h"

typedef struct RhDepsWalk
{
	Oid			shell;
	ObjectAddresses *seen;		/* looked at already */
	List	   *statements;		/* in the order in which they must run */
	List	   *objects;		/* of ObjectAddress: what they make */
	List	   *types;			/* OIDs: whose casts and operators are to come */
	Oid			function;		/* whose dependencies are being visited, if any */
	bool		is_trial;		/* rather than raise an error .. */
	bool		failed;			/* .. say that a node cannot have it */
} RhDepsWalk;

/* Look at one object, once: it, and before it what it needs, is added to the walk's statements. */
extern void rh_deps_visit(RhDepsWalk *walk, Oid classid, Oid objid);

/* Look at the objects that an object's own pg_depend rows name. */
extern void rh_deps_visit_dependencies(RhDepsWalk *walk, Oid classid, Oid objid);

/* A type, and before it what it needs; comes from rh_deps_visit alone. */
extern void rh_deps_visit_type(RhDepsWalk *walk, Oid type);

/* An object that is on the node from here on. */
extern void rh_deps_add_object(RhDepsWalk *walk, Oid classid, Oid objid);

/*
 * Make an object on the node where it is missing, by the statement create, with
 * its parts, owner and privileges.
 */
extern void rh_deps_add_new(RhDepsWalk *walk, const RhObjectImage *image, const char *create);

#endif							/* RH_SHARD_DEPS_INTERNAL_H */
