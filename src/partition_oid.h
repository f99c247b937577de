/*-------------------------------------------------------------------------
 *
 * partition_oid.h
 *	  The tableoid of rows of a partitioned table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_PARTITION_OID_H
#define RH_PARTITION_OID_H

#include "postgres.h"
#include "nodes/primnodes.h"

/*
 * An expression for the nodes that gives a row's tableoid as it is here, the OID
 * of a partition's shell.  varno is the partitioned table's.  Raises 0A000 where
 * partitions of one name are in several schemas.
 */
extern Expr *rh_partition_oid_expr(Oid relid, Index varno);

#endif							/* RH_PARTITION_OID_H */
