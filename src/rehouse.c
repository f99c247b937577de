/*-------------------------------------------------------------------------
 *
 * rehouse.c
 *	  The entry point: settings, shared memory, workers, hooks.
 *
 * The only file that knows all others.  Loaded by shared_preload_libraries;
 * a library that is loaded later (by calling one of its functions) sets up
 * nothing, and each function says so with an error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/keeper.h"
#include "bgw/transfer.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "shmem/state.h"
#include "src/citus_settings.h"
#include "src/conn.h"
#include "src/ddl_guard.h"
#include "src/distribute.h"
#include "src/gather.h"
#include "src/copy_router.h"
#include "src/local_reference.h"
#include "src/locked_keys.h"
#include "src/mapsync.h"
#include "src/planner.h"
#include "src/reference.h"
#include "src/rehouse.h"
#include "src/remote_log.h"
#include "src/set_constraints.h"
#include "src/statistics.h"
#include "src/utility.h"
#include "src/xact.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;

	rh_shmem_init();
	rh_mapsync_init();
	rh_conn_init();
	rh_xact_init();
	rh_set_constraints_init();
	rh_locked_keys_init();
	rh_local_reference_init();	/* its pre-commit comes before that of xact.c */
	rh_copy_router_init();
	rh_bgw_init();
	rh_transfer_init();
	rh_distribute_init();
	rh_ddl_guard_init();
	rh_utility_init();
	rh_planner_init();
	rh_gather_init();
	rh_reference_init();
	rh_statistics_init();
	rh_remote_log_init();
	rh_citus_settings_init();

	MarkGUCPrefixReserved("rehouse");
}

void
rh_require_preload(void)
{
	if (rh_shared == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rehouse must be loaded via shared_preload_libraries"),
				 errhint("Add rehouse to \"shared_preload_libraries\" and restart the server.")));
}
