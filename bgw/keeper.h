/*-------------------------------------------------------------------------
 *
 * keeper.h
 *	  The keeper of a database, as the rest of the extension sees it.
 *
 * The keeper is the process that plans jobs, starts movers and sweepers, and
 * frees what the map has retired.  Others wake it, and hand it requests that
 * need a transaction of its own (bgw/request.h).
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_KEEPER_H
#define RH_KEEPER_H

#include "postgres.h"

/* Wake this database's keeper now, or have the launcher start it. */
extern void rh_keeper_wakeup(void);

/*
 * The same once this transaction has committed; for whoever leaves the keeper
 * something to do in a table.  Forgotten when the transaction aborts.
 */
extern void rh_keeper_wakeup_at_commit(void);

/*
 * A node has become able to hold shards (added, activated, property set) in
 * this transaction: unless rehouse.auto_rebalance is off in this session, leave
 * a row that makes the keeper rebalance after the commit.  reason is a sentence
 * part for the job's description, like: node "db3:5432" was added.
 */
extern void rh_keeper_rebalance_at_commit(const char *reason);

/* Settings, shared memory, the launcher and the hooks of bgw/. */
extern void rh_bgw_init(void);

#endif							/* RH_KEEPER_H */
