/*-------------------------------------------------------------------------
 *
 * transit.h
 *	  Tables that a transaction under way is about to distribute.
 *
 * A plan over such a table may not be kept: a transaction that holds a lock on
 * the shell does not look for invalidations, and would go on reading the frozen
 * local rows by a cached local plan.  So the one who distributes first takes
 * AccessExclusiveLock on the shell, marks it here, sends a relcache
 * invalidation at once, and goes back to ExclusiveLock.  From then on every
 * plan over the table is made anew at each ExecutorStart, by the map of that
 * moment.  Marks live in shared memory and go with their process or transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_TRANSIT_H
#define RH_TRANSIT_H

/* Mark a relation of this database until the transaction has ended (after publishing). */
extern void rh_transit_mark(Oid relid);

/* Is it marked by anybody, ourselves included?  One load when there are no marks. */
extern bool rh_transit_marked(Oid relid);

#endif							/* RH_TRANSIT_H */
