/*-------------------------------------------------------------------------
 *
 * session_values.h
 *	  The application's own settings (app.tenant and their like), which follow
 *	  the session to the nodes.
 *
 * Policies, trigger functions and other functions that run there read them by
 * current_setting().  They are the settings that no library has defined.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_SESSION_VALUES_H
#define RH_SESSION_VALUES_H

#include "postgres.h"

/*
 * "pg_catalog.set_config('app.tenant', '5', false), ..", or "" when there are
 * none.  The text is good until the next call.
 */
extern const char *rh_session_values(void);

/*
 * From now on the nodes are told with each statement whether it is a check of
 * referential integrity, to which policies that are forced on a table's owner do
 * not apply: by the setting RH_UNFORCED (local_reference_ddl.c).
 */
extern void rh_session_values_tell_unforced(void);

#define RH_UNFORCED "rehouse_node.unforced"

#endif							/* RH_SESSION_VALUES_H */
