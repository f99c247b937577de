/*-------------------------------------------------------------------------
 *
 * mapread.h
 *	  Reading the catalog into what a map is built from.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_MAPREAD_H
#define RH_MAPREAD_H

#include "shmem/mapdata.h"

/* Is the extension in this database, as this transaction sees it? */
extern bool rh_mapread_extension_exists(void);

/*
 * Is its catalog of this library's version?  Otherwise reports, with a positive
 * elevel, that the extension is to be updated.
 */
extern bool rh_mapread_is_readable(int elevel);

/*
 * Read the whole catalog by the latest snapshot, own changes included, into
 * the current memory context.  Without the extension: an input without
 * anything in it.
 */
extern void rh_mapread_input(RhMapInput *input);

#endif							/* RH_MAPREAD_H */
