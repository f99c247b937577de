/*-------------------------------------------------------------------------
 *
 * ddl_partition.h
 *	  CREATE TABLE .. PARTITION OF, ATTACH and DETACH PARTITION.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_DDL_PARTITION_H
#define RH_DDL_PARTITION_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "shmem/map.h"
#include "src/ddl_internal.h"

typedef enum RhPartitionChange
{
	RH_PARTITION_CREATE,
	RH_PARTITION_ATTACH,
	RH_PARTITION_DETACH,
	RH_PARTITION_ATTACH_INDEX
} RhPartitionChange;

/* What happens to one partition of a table, or of one of its indexes. */
struct RhDdlPartition
{
	RhPartitionChange change;
	RangeVar   *name;			/* as it was written */
	Oid			relid;			/* InvalidOid: it is not there yet */
	Oid			index;			/* of ATTACH_INDEX: the partitioned index */
};

/* Does the statement make a partition of a distributed table?  Adds it to *ddl. */
extern void rh_ddl_create_partition(RhDdl **ddl, CreateStmt *statement);

/*
 * ALTER TABLE .. ATTACH, DETACH PARTITION.  False: it is neither, or about no
 * distributed table.
 */
extern bool rh_ddl_alter_partition(RhDdl **ddl, AlterTableStmt *statement);

/* ALTER INDEX .. ATTACH PARTITION. */
extern void rh_ddl_attach_index(RhDdlTable *entry, RangeVar *index, PartitionCmd *cmd);

/* The shell has been changed: a new partition is a distributed table from here on. */
extern void rh_ddl_partition_finish_shell(RhDdlTable *entry);

/* The foreign keys of a partition that comes or goes, and how many rows there are now. */
extern void rh_ddl_partition_changed(Oid parent, Oid partition);

/* What the nodes need first, and what one bucket gets. */
extern List *rh_ddl_partition_dependencies(RhDdlTable *entry);
extern List *rh_ddl_partition_statements(RhDdlTable *entry, const RhPlacement *bucket);

#endif							/* RH_DDL_PARTITION_H */
