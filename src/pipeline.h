/*-------------------------------------------------------------------------
 *
 * pipeline.h
 *	  INSERTs of functions, sent without waiting for their answers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_PIPELINE_H
#define RH_PIPELINE_H

#include "postgres.h"
#include "src/conn.h"

/*
 * Does what runs now run inside of a client's statement, at whose end the
 * answers can be read?  False, too, when the setting is off.
 */
extern bool rh_pipeline_wanted(void);

/* Could a statement that is planned now run like that? */
extern bool rh_pipeline_possible(void);

/*
 * Send an INSERT that adds one row, or raises an error, and go on.  False: it
 * has to be sent and waited for as any other statement.
 */
extern bool rh_pipeline_insert(RhConn *conn, const RhStatement *statement);

extern void rh_pipeline_init(void);

#endif							/* RH_PIPELINE_H */
