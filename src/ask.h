/*-------------------------------------------------------------------------
 *
 * ask.h
 *	  A user's command on a private link, whose errors are results.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_ASK_H
#define RH_ASK_H

#include "postgres.h"
#include "shmem/map.h"
#include "src/conn.h"

typedef struct RhAsk
{
	RhNode		node;
	PGconn	   *link;			/* NULL: not connected */
	bool		unreachable;	/* no connection could be made */
	bool		under_way;		/* sent, and not collected yet */
	bool		success;
	char	   *result;			/* the last result's value (NULL: a null), the command's tag, or
								 * the error; a result of several values is one */
} RhAsk;

/*
 * Send a command, connecting as the current user if there is no link yet.  When
 * that fails, success is false and result says why.
 */
extern void rh_ask_send(RhAsk *ask, const char *sql);

/*
 * Wait for what has been sent, serving interrupts.  The first error counts, or
 * else the last result.  The link is idle afterwards, outside of any
 * transaction, or closed.
 */
extern void rh_ask_collect(RhAsk *ask);

extern void rh_ask_close(RhAsk *ask);

#endif							/* RH_ASK_H */
