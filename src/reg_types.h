/*-------------------------------------------------------------------------
 *
 * reg_types.h
 *	  The types whose values are OIDs of objects in the catalog.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_REG_TYPES_H
#define RH_REG_TYPES_H

#include "postgres.h"

/*
 * Is it one of regclass and its kin?  Its values mean something on this server
 * alone: as a key they cannot be hashed, in a statement for a node they cannot be
 * evaluated there, and they travel as text and not in binary.
 */
extern bool rh_is_reg_type(Oid type);

#endif							/* RH_REG_TYPES_H */
