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

/*
 * A label, an attribute, a constraint, a member of an operator family, or the
 * dictionaries of a token type.
 */
typedef struct RhObjectPart
{
	Oid			id;				/* its OID, or the attribute's or token type's number */
	const char *name;
	const char *definition;		/* "" for a label */
	bool		validated;		/* of a constraint */
} RhObjectPart;

typedef struct RhObjectImage
{
	Oid			classid;
	Oid			objid;
	const char *kind;			/* as in ALTER kind: TYPE, DOMAIN, FUNCTION .. */
	const char *schema;			/* NULL: it is in none */
	const char *name;
	const char *arguments;		/* what follows the name: a function's types, with parentheses;
								 * " USING btree"; else "" */
	const char *source;			/* of a cast: its types, as to_regtype reads them; */
	const char *target;			/* .. of a transform: type and language */
	const char *owner;			/* NULL: not followed */
	const char *definition;		/* a function's text, an extension's version, a domain's
								 * default, a dictionary's options, properties of ALTER .. SET */
	bool		not_null;		/* of a domain */
	List	   *parts;			/* RhObjectPart */
	const char *privilege;		/* that the grants are of: "USAGE ON TYPE"; NULL: none */
	List	   *grants;			/* of char *: quoted roles that have it besides the owner */
} RhObjectImage;

/* Can objects of this catalog have an image? */
extern bool rh_object_has_image(Oid classid);

/* The object as the catalog has it now; NULL when it is gone, or of a kind that has no image. */
extern RhObjectImage *rh_object_image(Oid classid, Oid objid);

/* The statements that turn the old image into the new one, in order. */
extern List *rh_object_difference(const RhObjectImage *old, const RhObjectImage *new);

/* The statements that give a new object its parts (which its CREATE leaves out). */
extern List *rh_object_add_parts(const RhObjectImage *image);

/*
 * PL/pgSQL that gives a new object to its owner and grants what the image says,
 * to roles that the node has and as far as the session may.
 */
extern char *rh_object_give(const RhObjectImage *image);

/* The object as statements name it. */
extern char *rh_object_identity(const RhObjectImage *image);

/* An SQL condition: does the node have the object of the image? */
extern char *rh_object_exists(const RhObjectImage *image);

/* DROP kind IF EXISTS. */
extern char *rh_object_drop(const RhObjectImage *image);

#endif							/* RH_OBJECT_IMAGE_H */
