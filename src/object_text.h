/*-------------------------------------------------------------------------
 *
 * object_text.h
 *	  CREATE statements of objects that PostgreSQL does not print itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_OBJECT_TEXT_H
#define RH_OBJECT_TEXT_H

#include "postgres.h"
#include "access/htup.h"
#include "nodes/pg_list.h"

/*
 * CREATE of an aggregate, operator, operator class or family, base or range
 * type, text search object, cast, transform or language, with qualified names;
 * NULL for other kinds.  A family comes without its members, a text search
 * configuration without its mappings: those are parts of its image
 * (object_image.h).  The search path must be pg_catalog alone.
 */
extern char *rh_object_text(Oid classid, Oid objid);

/* What ALTER TYPE .. SET, ALTER OPERATOR .. SET can change: "NAME = value, ..". */
extern char *rh_object_type_properties(Oid type);
extern char *rh_object_operator_properties(Oid operator);

/* A copy of the object's row in its catalog; NULL: it is gone. */
extern HeapTuple rh_object_row(Oid catalogid, Oid objid);

/* A member of an operator family. */
typedef struct RhFamilyMember
{
	Oid			id;				/* in pg_amop or pg_amproc */
	Oid			classid;		/* OperatorRelationId or ProcedureRelationId .. */
	Oid			objid;			/* .. of what it is */
	Oid			left;
	Oid			right;
	int			number;			/* strategy or support number */
	char	   *key;			/* OPERATOR 1 (int, int), as DROP takes it */
	char	   *rest;			/* what follows "OPERATOR 1" in ADD */
} RhFamilyMember;

/* The members of a family that users have added, a List of RhFamilyMember. */
extern List *rh_object_family_members(Oid family);

#endif							/* RH_OBJECT_TEXT_H */
