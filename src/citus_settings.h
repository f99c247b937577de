/*-------------------------------------------------------------------------
 *
 * citus_settings.h
 *	  Settings that documented scripts set under citus.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_CITUS_SETTINGS_H
#define RH_CITUS_SETTINGS_H

/* Called last: from here on a name under citus. that nobody has defined is an error. */
extern void rh_citus_settings_init(void);

#endif							/* RH_CITUS_SETTINGS_H */
