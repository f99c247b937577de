/*-------------------------------------------------------------------------
 *
 * object_image.h
 *	  What an object looks like, and how to get from one look to another.
 *
 * DDL on a type or function is not parsed and printed form by form: its image
 * is taken before and after the command, and the difference is what nodes are
 * told.  So every form that PostgreSQL has (and every way to it, REASSIGN OWNED
 * too) is followed in one way.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_OBJECT_IMAGE_H
#define RH_OBJECT_IMAGE_H

#include "postgres.h"
#include "nodes/pg_list.h"

typedef struct RhObjectImage
{
	Oid			classid;
	Oid			objid;
	const char *kind;			/* as in ALTER kind: TYPE, DOMAIN, FUNCTION .. */
	const char *schema;			/* NULL: it is in none */
	const char *name;
	const char *arguments;		/* of a function, with parentheses; else "" */
	const char *owner;			/* NULL: not followed */
	const char *definition;		/* a function's text, an extension's version,
								 * a domain's default */
	bool		not_null;		/* of a domain */
	List	   *parts;			/* RhObjectPart: labels, attributes, domain constraints */
	List	   *grants;			/* of char *: roles that may execute a function */
} RhObjectImage;

/* The object as the catalog has it now; NULL when it is gone, or of a kind that has no image. */
extern RhObjectImage *rh_object_image(Oid classid, Oid objid);

/* The statements that turn the old image into the new one, in order. */
extern List *rh_object_difference(const RhObjectImage *old, const RhObjectImage *new);

/* An SQL condition: does the node have the object of the image? */
extern char *rh_object_exists(const RhObjectImage *image);

/* DROP kind IF EXISTS. */
extern char *rh_object_drop(const RhObjectImage *image);

#endif							/* RH_OBJECT_IMAGE_H */
