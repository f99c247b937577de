/*-------------------------------------------------------------------------
 *
 * request.h
 *	  Requests that a session hands to the keeper, which commits them.
 *
 * A job is committed by the keeper in a transaction of its own: a row of the
 * caller's would be invisible until he commits, his transaction id would hold
 * up the slot, and his gate the cutover.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_REQUEST_H
#define RH_REQUEST_H

#include "postgres.h"

#define RH_REQUEST_ARGS_LEN 16384

typedef enum RhRequestKind
{
	RH_REQUEST_JOB = 1,			/* make a job: answers its id */
	RH_REQUEST_CANCEL			/* cancel a job: answers its id, 0 when it is over */
} RhRequestKind;

typedef struct RhAnswer
{
	int64		value;
	bool		joined;			/* the job was there already */
	int64		busy_step;		/* not 0: no job was made, since this step of a
								 * rebalance works on the shards; ask again when
								 * it has ended */
} RhAnswer;

/*
 * Hand a request to this database's keeper and wait for the answer.  kind_name
 * is the job's kind (NULL unless RH_REQUEST_JOB), args a JSON object.  Raises
 * the keeper's error, and 57P03 when no keeper takes it up within the deadline.
 */
extern RhAnswer rh_request(RhRequestKind kind, const char *job_kind, const char *args);

/* The same without waiting for an answer, and without raising anything. */
extern void rh_request_post(RhRequestKind kind, const char *args);

/* The keeper's side: answer all requests of this database. */
extern void rh_request_serve(void);

/* Are there any? */
extern bool rh_request_pending(void);

extern Size rh_request_shmem_size(void);
extern void rh_request_shmem_init(void);

#endif							/* RH_REQUEST_H */
