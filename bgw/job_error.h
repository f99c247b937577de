/*-------------------------------------------------------------------------
 *
 * job_error.h
 *	  What a job failed of: kept with it, and raised in who waits for it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_JOB_ERROR_H
#define RH_JOB_ERROR_H

#include "postgres.h"
#include "utils/elog.h"

/* An error as the JSON object that a job's or a step's row keeps (column "failure"). */
extern char *rh_job_error_json(const ErrorData *error);

/*
 * The error of such an object, palloc'd: SQLSTATE, message, detail, hint and the
 * names in it as they were raised first.  Runs a query.
 */
extern ErrorData *rh_job_error_read(const char *json);

#endif							/* RH_JOB_ERROR_H */
