/*-------------------------------------------------------------------------
 *
 * statistics.h
 *	  Counting statements by tenant: citus_stat_statements, citus_stat_tenants.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_STATISTICS_H
#define RH_STATISTICS_H

#include "postgres.h"
#include "shmem/load.h"

/* Who executed a statement, in the documented words. */
typedef enum RhExecutor
{
	RH_EXECUTOR_ADAPTIVE,
	RH_EXECUTOR_INSERT_SELECT
} RhExecutor;

/* The tenant of a statement, as it will be counted. */
typedef struct RhTenant
{
	uint32		key_hash;
	uint8		length;			/* or RH_NO_TENANT */
	char		name[RH_TENANT_LEN];
} RhTenant;

/* Is anything counted?  Kept up to date by the settings. */
extern bool rh_statistics_on;

/* Note a distribution column's value, which is not null. */
extern void rh_statistics_tenant(RhTenant *tenant, Oid type, Datum value, uint32 key_hash);

/* The period that a moment lies in. */
extern RhPeriod rh_statistics_period(TimestampTz moment);

extern void rh_statistics_init(void);

#endif							/* RH_STATISTICS_H */
