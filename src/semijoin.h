/*-------------------------------------------------------------------------
 *
 * semijoin.h
 *	  IN (SELECT ..) in UPDATE and DELETE, made a join.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_SEMIJOIN_H
#define RH_SEMIJOIN_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/*
 * The UPDATE or DELETE with the sub-selects of its IN conditions in FROM, if they stand for
 * themselves; NULL: it has no such condition. The query is not changed.
 */
extern Query *rh_semijoin(Query *query);

#endif							/* RH_SEMIJOIN_H */
