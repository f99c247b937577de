/*-------------------------------------------------------------------------
 *
 * names.h
 *	  How things are called on a worker.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_NAMES_H
#define RH_NAMES_H

#include "postgres.h"

/*
 * The schema of a bucket on its node: the shell's schema, the bucket's id, and
 * the generation when it is not the first: public_102008, public_102008_2.
 * A name longer than NAMEDATALEN - 1 bytes is cut at a character and gets the
 * hash of the whole, so that it stays unique.  buf has NAMEDATALEN bytes.
 */
extern void rh_shard_schema(char *buf, const char *shell_schema, uint32 bucket_id,
							int32 generation);

/*
 * The other way: the shell's schema, from that of a bucket, in buf of NAMEDATALEN
 * bytes.  False where it is no bucket's, or where the name had to be cut.
 */
extern bool rh_shell_schema(char *buf, const char *shard_schema);

/* The shard's name, quoted as needed and qualified, palloc'd. */
extern char *rh_shard_name(Oid shell, uint32 bucket_id, int32 generation);

/*
 * From here until PopOverrideSearchPath the search path is pg_catalog alone, so
 * that ruleutils.c prints every other name with its schema.
 */
extern void rh_qualify_names(void);

/*
 * A DO statement for a node, palloc'd.  The body is PL/pgSQL, made as by psprintf,
 * and quoted here, as names in it may contain whatever a delimiter is made of.
 */
extern char *rh_do_block(const char *format,...) pg_attribute_printf(1, 2);

#endif							/* RH_NAMES_H */
