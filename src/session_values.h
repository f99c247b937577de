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

#endif							/* RH_SESSION_VALUES_H */
