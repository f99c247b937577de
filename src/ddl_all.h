/*-------------------------------------------------------------------------
 *
 * ddl_all.h
 *	  REINDEX and CLUSTER without a table's name.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_DDL_ALL_H
#define RH_DDL_ALL_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "nodes/nodes.h"

/* Is it REINDEX SCHEMA or DATABASE, or CLUSTER of all tables? */
extern bool rh_ddl_all_is(Node *statement);

/* What it means for the distributed tables: a statement for each that the user owns. */
extern List *rh_ddl_all_statements(Node *statement);

/* Is the table of such a statement still there? */
extern bool rh_ddl_all_exists(Node *statement);

#endif							/* RH_DDL_ALL_H */
